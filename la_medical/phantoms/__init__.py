"""TODO phantoms"""
