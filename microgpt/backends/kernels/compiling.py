"""How kernels are compiled. Numba compiles what a function calls once more with it, so what is inner to others needs
nothing of its own: no wrappers for Python, which take long for arguments of so many fields, and no place on disk.
Together that was 3 of 18 s of a first start."""

from numba import njit

# Without the GIL; _nrt=False: without reference counting, so nothing in them may make an array.
entry_point = njit(nogil=True, cache=True, _nrt=False)  # what Python calls
part = njit(nogil=True, _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True)  # what kernels call
inlined = njit(nogil=True, _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=True)
