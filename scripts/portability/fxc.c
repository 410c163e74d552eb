// Compiles HLSL files with Microsoft's FXC as wgpu does where it finds no DXC. One line a file that fails; status 1 if there
// is one. A Windows program, for wine.
//
// build: x86_64-w64-mingw32-gcc -O1 -o fxc.exe fxc.c
// usage: fxc.exe D3DCOMPILER_47.DLL FILE.hlsl...

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

typedef struct Blob Blob;
struct Blob {
    struct {
        HRESULT(WINAPI *query)(Blob *, void *, void **);
        ULONG(WINAPI *add)(Blob *);
        ULONG(WINAPI *release)(Blob *);
        void *(WINAPI *bytes)(Blob *);
        SIZE_T(WINAPI *size)(Blob *);
    } *methods;
};
typedef HRESULT(WINAPI *Compile)(const void *, SIZE_T, const char *, const void *, void *, const char *, const char *, UINT,
                                 UINT, Blob **, Blob **);

// D3DCOMPILE_ENABLE_STRICTNESS and D3DCOMPILE_RESOURCES_MAY_ALIAS, as wgpu-hal 30 sets them.
enum { FLAGS = 1 << 11 | 1 << 19 };

static char *read_file(const char *path, long *size) {
    FILE *file = fopen(path, "rb");
    if (!file) return 0;
    fseek(file, 0, SEEK_END);
    *size = ftell(file);
    rewind(file);
    char *text = calloc(1, *size + 1);
    fread(text, 1, *size, file);
    fclose(file);
    return text;
}

int main(int count, char **words) {
    HMODULE library = count > 2 ? LoadLibraryA(words[1]) : 0;
    Compile compile = library ? (Compile)(void *)GetProcAddress(library, "D3DCompile") : 0;
    if (!compile) return puts("FXC does not start"), 2;
    int files = 0, refused = 0;
    for (char **word = words + 2; *word; word++, files++) {
        const char *path = *word;
        long size = 0;
        char *text = read_file(path, &size);
        Blob *code = 0, *complaints = 0;
        HRESULT result = text ? compile(text, size, path, 0, 0, "main", "cs_5_1", FLAGS, 0, &code, &complaints) : -1;
        if (result) {
            const char *why = complaints ? complaints->methods->bytes(complaints) : "no such file";
            printf("%s: %.*s\n", path, (int)strcspn(why, "\r\n"), why);
            refused++;
        }
        fflush(stdout);
        free(text);
    }
    printf("%d of %d accepted by FXC\n", files - refused, files);
    return refused != 0;
}
