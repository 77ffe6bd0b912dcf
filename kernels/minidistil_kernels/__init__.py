"""Triton kernels for DistilBERT.

The kernels arrive in a later release; this package holds their place in the wheel.
`minidistil` never needs it: `import minidistil` works where Triton cannot be imported.
"""
