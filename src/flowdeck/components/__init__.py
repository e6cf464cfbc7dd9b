"""The components of the platform, one folder each; `base` says what a component brings.

A component never imports another one, and never `embedded`: they meet through API objects.
"""
