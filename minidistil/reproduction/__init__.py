"""Runs that can be repeated: the student that is shipped, and DistilBERT's recipe made small.

files.py --texts.py--> texts to learn from, to choose by, to judge by --> student.py, masked_lm.py
"""
