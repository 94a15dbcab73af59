"""TODO networks"""
