"""Compiles HLSL files with Microsoft's DXC as wgpu would, on Linux. One line a file that fails; status 1 if there is one.

The library is in the PyPI source package `compushady`. It speaks COM: an object is a pointer to a table of methods, and
the slots used here are those of IUnknown (5, with the two destructors that this build of DXC has), IDxcCompiler3::Compile,
IDxcResult and IDxcBlob.

usage: dxc.py LIBDXCOMPILER FILE.hlsl...
"""

import ctypes
import sys
import uuid

FIRST_METHOD = 5
COMPILER_CLASS = "73e22d93-e6ce-47f3-b5bf-f0664f39c1b0"
COMPILER_3 = "228b4687-5a6a-4730-900c-9702b2203f54"
RESULT = "58346cda-dde7-4497-9461-6f87af5e0659"
UTF8 = 65001
ARGUMENTS = ["-E", "main", "-T", "cs_6_2", "-HV", "2018", "-no-legacy-cbuf-layout", "-enable-16bit-types"]


class Buffer(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("size", ctypes.c_size_t), ("encoding", ctypes.c_uint32)]


def guid(text):
    return ctypes.create_string_buffer(uuid.UUID(text).bytes_le, 16)


def call(instance, slot, result, *arguments):
    """Calls a method by its place behind those of IUnknown."""
    table = ctypes.cast(instance, ctypes.POINTER(ctypes.POINTER(ctypes.c_void_p)))[0]
    types = [ctypes.c_void_p if not isinstance(a, int) else ctypes.c_uint32 for a in arguments]
    method = ctypes.CFUNCTYPE(result, ctypes.c_void_p, *types)(table[FIRST_METHOD + slot])
    return method(instance, *[ctypes.cast(a, ctypes.c_void_p) if not isinstance(a, int) else a for a in arguments])


def compile_file(compiler, path):
    """The compiler's complaint, or None."""
    with open(path, "rb") as file:
        source = file.read()
    text = ctypes.create_string_buffer(source, len(source))
    buffer = Buffer(ctypes.cast(text, ctypes.c_void_p), len(source), UTF8)
    arguments = (ctypes.c_wchar_p * len(ARGUMENTS))(*ARGUMENTS)
    result, status, errors = ctypes.c_void_p(), ctypes.c_int32(-1), ctypes.c_void_p()
    failed = call(compiler, 0, ctypes.c_int32, ctypes.byref(buffer), arguments, len(ARGUMENTS), None,
                  guid(RESULT), ctypes.byref(result))
    if failed:
        return f"Compile: {failed & 0xFFFFFFFF:#x}"
    call(result, 0, ctypes.c_int32, ctypes.byref(status))
    if status.value == 0:
        return None
    call(result, 2, ctypes.c_int32, ctypes.byref(errors))
    return ctypes.string_at(call(errors, 0, ctypes.c_void_p), call(errors, 1, ctypes.c_size_t)).decode(errors="replace")


def main():
    library, *files = sys.argv[1:]
    compiler = ctypes.c_void_p()
    create = ctypes.CDLL(library).DxcCreateInstance
    if create(guid(COMPILER_CLASS), guid(COMPILER_3), ctypes.byref(compiler)):
        sys.exit("DXC does not start")
    complaints = {file: complaint for file in files if (complaint := compile_file(compiler, file))}
    for file, complaint in complaints.items():
        print(f"{file}: {complaint}")
    print(f"{len(files) - len(complaints)} of {len(files)} accepted by DXC")
    sys.exit(bool(complaints))


main()
