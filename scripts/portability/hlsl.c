// Compiles HLSL files with FXC or DXC as wgpu-hal 30 does, by Microsoft's own libraries. One line per file: "accepted", or the
// first line of the complaint. A Windows program, for wine.
//
// build: x86_64-w64-mingw32-gcc -O1 -o hlsl.exe hlsl.c
// usage: hlsl.exe fxc D3DCOMPILER_47.DLL FILE.hlsl...
//        hlsl.exe dxc DXCOMPILER.DLL FILE.hlsl...

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

// A COM object is a pointer to a table of methods; the first three are IUnknown's.
typedef struct Object {
    void **methods;
} Object;
typedef void *(WINAPI *Bytes)(Object *);
typedef SIZE_T(WINAPI *Size)(Object *);
typedef HRESULT(WINAPI *Status)(Object *, HRESULT *);
typedef HRESULT(WINAPI *Part)(Object *, Object **);
enum { RELEASE = 2, BLOB_BYTES = 3, BLOB_SIZE, COMPILE = 3, RESULT_STATUS = 3, RESULT_ERRORS = 5 };

typedef HRESULT(WINAPI *Fxc)(const void *, SIZE_T, const char *, const void *, void *, const char *, const char *, UINT, UINT,
                             Object **, Object **);
// D3DCOMPILE_ENABLE_STRICTNESS and D3DCOMPILE_RESOURCES_MAY_ALIAS.
enum { FXC_FLAGS = 1 << 11 | 1 << 19 };

typedef struct {
    const void *text;
    SIZE_T size;
    UINT encoding;
} Source;
typedef HRESULT(WINAPI *CreateDxc)(const GUID *, const GUID *, Object **);
typedef HRESULT(WINAPI *Dxc)(Object *, const Source *, const WCHAR **, UINT, void *, const GUID *, Object **);
static const GUID COMPILER_CLASS = {0x73e22d93, 0xe6ce, 0x47f3, {0xb5, 0xbf, 0xf0, 0x66, 0x4f, 0x39, 0xc1, 0xb0}};
static const GUID COMPILER_3 = {0x228b4687, 0x5a6a, 0x4730, {0x90, 0x0c, 0x97, 0x02, 0xb2, 0x20, 0x3f, 0x54}};
static const GUID RESULT = {0x58346cda, 0xdde7, 0x4497, {0x94, 0x61, 0x6f, 0x87, 0xaf, 0x5e, 0x06, 0x59}};
static const WCHAR *ARGUMENTS[] = {L"-E", L"main", L"-T", L"cs_6_0", L"-HV", L"2018", L"-no-warnings", L"-Ges"};

static Fxc fxc;
static Object *dxc;

static char *read_file(const char *path, long *size) {
    FILE *file = fopen(path, "rb");
    if (!file) return 0;
    fseek(file, 0, SEEK_END);
    *size = ftell(file);
    rewind(file);
    char *text = calloc(1, *size + 1);
    *size = fread(text, 1, *size, file);
    fclose(file);
    return text;
}

static int start(const char *compiler, const char *path) {
    HMODULE library = LoadLibraryA(path);
    if (!library) return 0;
    if (!strcmp(compiler, "fxc")) return (fxc = (Fxc)(void *)GetProcAddress(library, "D3DCompile")) != 0;
    CreateDxc create = (CreateDxc)(void *)GetProcAddress(library, "DxcCreateInstance");
    return create && !create(&COMPILER_CLASS, &COMPILER_3, &dxc);
}

// Whether a file is accepted; if not, the complaints may say why.
static int accepts(const char *path, const char *text, long size, Object **complaints) {
    Object *code = 0, *result = 0;
    HRESULT status = -1;
    if (fxc) return !fxc(text, size, path, 0, 0, "main", "cs_5_1", FXC_FLAGS, 0, &code, complaints);
    Source source = {text, size, CP_UTF8};
    UINT count = sizeof ARGUMENTS / sizeof *ARGUMENTS;
    if (((Dxc)dxc->methods[COMPILE])(dxc, &source, ARGUMENTS, count, 0, &RESULT, &result)) return 0;
    ((Status)result->methods[RESULT_STATUS])(result, &status);
    ((Part)result->methods[RESULT_ERRORS])(result, complaints);
    ((Size)result->methods[RELEASE])(result);
    return !status;
}

int main(int count, char **words) {
    if (count < 4 || !start(words[1], words[2])) return puts("the compiler does not start"), 2;
    int refused = 0;
    for (char **word = words + 3; *word; word++) {
        long size = 0;
        char *text = read_file(*word, &size);
        Object *complaints = 0;
        if (text && accepts(*word, text, size, &complaints)) {
            printf("%s: accepted\n", *word);
        } else {
            const char *why = complaints ? ((Bytes)complaints->methods[BLOB_BYTES])(complaints) : "no such file";
            printf("%s: refused: %.*s\n", *word, (int)strcspn(why, "\r\n"), why);
            refused++;
        }
        fflush(stdout);
        free(text);
    }
    return refused != 0;
}
