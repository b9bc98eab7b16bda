/* A PKCS#11 library in front of another one, which does what it is told to: see faulty.rs.
 *
 * Beside it are `inner.so`, the library it is in front of, and `control`, a table that it maps: whoever writes
 * to that file changes what the next call does, and ends what hangs. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

/* FUNCTIONS: X(name) for each function of CK_FUNCTION_LIST in its order, made of the list in faulty.rs. */
#include "functions.h"

/* Every argument of every function is a pointer or fits into a word, and none has more than eight: so one type
 * fits all, where integers are passed in registers or on the stack by words. */
typedef unsigned long word;
typedef word (*function)(word, word, word, word, word, word, word, word);

enum {
#define X(name) name,
    FUNCTIONS
#undef X
    COUNT
};

enum { NONE, HANG, CODE, CODE_AFTER, SLOW, SLOW_OUTPUT, CORRUPT, LOSE_SESSIONS, CRASH, OWN_IV };

struct list {
    unsigned char major, minor;
    function functions[COUNT];
};

struct attribute {
    word type;
    unsigned char *value;
    word length;
};

struct fault {
    uint64_t kind, argument, times, calls, struck, inside;
};

static struct fault *control;
static struct list *inner;
static word slot;

/* Whether a call is to go wrong, and how. */
static uint64_t strikes(struct fault *fault)
{
    uint64_t kind = __atomic_load_n(&fault->kind, __ATOMIC_ACQUIRE);
    if (kind == NONE)
        return NONE;
    uint64_t times = __atomic_load_n(&fault->times, __ATOMIC_ACQUIRE);
    do {
        if (times == 0)
            return NONE;
    } while (times != UINT64_MAX && !__atomic_compare_exchange_n(&fault->times, &times, times - 1, 0,
                                                                 __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
    return kind;
}

static void flip(void *bytes, word length)
{
    if (bytes && length)
        ((unsigned char *)bytes)[length / 2] ^= 0x10;
}

/* Where a function writes what it has made; NULL where it was only asked for the length. */
static void *output(int index, const word *a)
{
    switch (index) {
    case C_Encrypt: case C_Decrypt: case C_Sign: case C_Digest:
        return (void *)a[3];
    case C_WrapKey:
        return (void *)a[4];
    case C_GenerateRandom: case C_FindObjects: case C_GetMechanismList: case C_GetSlotList: case C_GetTokenInfo:
        return (void *)a[1];
    default:
        return NULL;
    }
}

static void corrupt(int index, const word *a)
{
    void *made = output(index, a);
    switch (index) {
    case C_Encrypt: case C_Decrypt: case C_Sign: case C_Digest:
        flip(made, *(word *)a[4]);
        break;
    case C_WrapKey:
        flip(made, *(word *)a[5]);
        break;
    case C_GenerateRandom:
        flip(made, a[2]);
        break;
    case C_GetTokenInfo: /* the label, and the serial number */
        flip(made, 32);
        flip((unsigned char *)made + 80, 16);
        break;
    case C_FindObjects:
        for (word i = 0; i < *(word *)a[3]; i++)
            ((word *)made)[i] += 1;
        break;
    case C_GetMechanismList:
        if (made)
            flip(made, *(word *)a[2] * sizeof(word));
        break;
    case C_GetSlotList:
        if (a[1])
            ((word *)a[1])[0] += 1;
        break;
    case C_GetMechanismInfo: /* its flags */
        ((word *)a[2])[2] = 0;
        break;
    case C_GetAttributeValue:
        for (word i = 0; i < a[3]; i++) {
            struct attribute *attribute = (struct attribute *)a[2] + i;
            if (attribute->value && attribute->length != (word)-1)
                flip(attribute->value, attribute->length);
        }
        break;
    case C_GenerateKey:
        *(word *)a[4] += 1;
        break;
    case C_CreateObject:
        *(word *)a[3] += 1;
        break;
    case C_UnwrapKey:
        *(word *)a[7] += 1;
        break;
    case C_OpenSession:
        *(word *)a[4] += 1;
        break;
    }
}

struct gcm {
    unsigned char *iv;
    word length;
};

/* As tokens do that make IVs themselves: they want a place for one that is empty. */
static word make_iv(const word *mechanism)
{
    const word aes_gcm = 0x1087, parameter_invalid = 0x71;
    if (mechanism[0] != aes_gcm)
        return 0;
    struct gcm *gcm = (struct gcm *)mechanism[1];
    for (word i = 0; i < gcm->length; i++)
        if (gcm->iv[i])
            return parameter_invalid;
    return getrandom(gcm->iv, gcm->length, 0) == (ssize_t)gcm->length ? 0 : parameter_invalid;
}

static word call(int index, word a, word b, word c, word d, word e, word f, word g, word h)
{
    const word arguments[] = {a, b, c, d, e, f, g, h};
    struct fault *fault = &control[index];
    __atomic_add_fetch(&fault->calls, 1, __ATOMIC_ACQ_REL);
    uint64_t kind = strikes(fault);
    if (kind == SLOW_OUTPUT && !output(index, arguments))
        kind = NONE;
    if (kind != NONE)
        __atomic_add_fetch(&fault->struck, 1, __ATOMIC_ACQ_REL);
    __atomic_add_fetch(&fault->inside, 1, __ATOMIC_ACQ_REL);

    word answer = 0;
    switch (kind) {
    case HANG:
        while (__atomic_load_n(&fault->kind, __ATOMIC_ACQUIRE) == HANG)
            usleep(2000);
        break;
    case SLOW: case SLOW_OUTPUT:
        usleep((useconds_t)fault->argument);
        break;
    case LOSE_SESSIONS:
        inner->functions[C_CloseAllSessions](slot, 0, 0, 0, 0, 0, 0, 0);
        break;
    case CRASH:
        raise(SIGKILL); /* which leaves nothing to handle, and no core */
        break;
    }
    if (kind == OWN_IV && index == C_EncryptInit)
        answer = make_iv((const word *)b);
    if (kind == CODE)
        answer = fault->argument;
    else if (answer == 0)
        answer = inner->functions[index](a, b, c, d, e, f, g, h);
    if (kind == CODE_AFTER)
        answer = fault->argument;
    if (kind == CORRUPT && answer == 0)
        corrupt(index, arguments);
    if (index == C_OpenSession && answer == 0)
        slot = a;
    __atomic_sub_fetch(&fault->inside, 1, __ATOMIC_ACQ_REL);
    return answer;
}

#define X(name)                                                                                            \
    static word faulty_##name(word a, word b, word c, word d, word e, word f, word g, word h)              \
    {                                                                                                      \
        return call(name, a, b, c, d, e, f, g, h);                                                         \
    }
FUNCTIONS
#undef X

static struct list outer = {
    2, 40, {
#define X(name) faulty_##name,
        FUNCTIONS
#undef X
    }
};

static void *beside(const char *name, char *path, size_t size)
{
    Dl_info info;
    if (!dladdr((void *)beside, &info))
        return NULL;
    snprintf(path, size, "%s", info.dli_fname);
    char *slash = strrchr(path, '/');
    if (!slash)
        return NULL;
    snprintf(slash + 1, size - (size_t)(slash + 1 - path), "%s", name);
    return path;
}

__attribute__((constructor)) static void load(void)
{
    char path[4096];
    if (!beside("control", path, sizeof path))
        return;
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0)
        return;
    void *map = mmap(NULL, COUNT * sizeof(struct fault), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (map == MAP_FAILED)
        return;
    void *library = dlopen(beside("inner.so", path, sizeof path), RTLD_NOW | RTLD_LOCAL);
    word (*list)(struct list **) = library ? dlsym(library, "C_GetFunctionList") : NULL;
    if (!list || list(&inner) != 0)
        return;
    control = map;
}

/* Named apart from the list's entry, which the enumeration calls the same. */
__attribute__((visibility("default"))) word exported(struct list **list) __asm__("C_GetFunctionList");
word exported(struct list **list)
{
    if (!control)
        return 5; /* CKR_GENERAL_ERROR */
    *list = &outer;
    return 0;
}
