"""TODO statistics"""
