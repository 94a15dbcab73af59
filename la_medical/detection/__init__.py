"""TODO detection"""
