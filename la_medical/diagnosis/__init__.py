"""TODO diagnosis"""
