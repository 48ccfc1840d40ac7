/* Answers as libcuda.so.1 does: which device is which, in the order that the variables ask for. */

#include "machine.h"
#include <ctype.h>
#include <signal.h>
#include <strings.h>

typedef struct { unsigned char bytes[16]; } Uuid;

enum { NO_INIT = 3, NO_DEVICE = 100, INVALID_DEVICE = 101, UNSUPPORTED = 801 };

static char seen[MOST][WORD];
static int seen_count = -1;

static Device *device_named(Machine *m, const char *uuid) {
    for (int i = 0; i < m->card_count; i++)
        if (!strcmp(m->cards[i].uuid, uuid)) return &m->cards[i];
    for (int i = 0; i < m->part_count; i++)
        if (!strcmp(m->parts[i].uuid, uuid)) return &m->parts[i];
    return NULL;
}

static Machine *sorting;

static int by_bus(const void *one, const void *other) {
    return strcasecmp(device_named(sorting, one)->bus, device_named(sorting, other)->bus);
}

static void show(const char *uuid) { snprintf(seen[seen_count++], WORD, "%s", uuid); }

static int show_named(Machine *m, const char *word) {
    if (isdigit((unsigned char)word[0])) {
        int index = atoi(word);
        if (index >= m->cuda_count) return 0;
        show(m->cuda_order[index]);
        return 1;
    }
    Device *found = NULL;
    int count = 0;
    for (int i = 0; i < m->card_count + m->part_count; i++) {
        Device *d = i < m->card_count ? &m->cards[i] : &m->parts[i - m->card_count];
        if (!strncasecmp(d->uuid, word, strlen(word))) { found = d; count++; }
    }
    if (count != 1) return 0;
    show(found->uuid);
    return 1;
}

int cuInit(unsigned flags) {
    (void)flags;
    Machine *m = machine();
    while (m->cuda_code == HANGS) { usleep(20000); m = machine(); }
    if (m->cuda_code) return m->cuda_code;
    const char *order = getenv("CUDA_DEVICE_ORDER"), *mask = getenv("CUDA_VISIBLE_DEVICES");
    sorting = m;
    if (order && !strcmp(order, "PCI_BUS_ID"))
        qsort(m->cuda_order, m->cuda_count, WORD, by_bus);
    seen_count = 0;
    if (!mask || m->cuda_deaf) {
        for (int i = 0; i < m->cuda_count; i++) show(m->cuda_order[i]);
    } else {
        char words[4096];
        snprintf(words, sizeof words, "%s", mask);
        for (char *w = strtok(words, ","); w && show_named(m, w); w = strtok(NULL, ",")) {}
    }
    return seen_count ? 0 : NO_DEVICE;
}

#define BEGIN \
    Machine *m = machine(); \
    if (seen_count < 0) return NO_INIT; \
    if (number < 0 || number >= seen_count) return INVALID_DEVICE; \
    Device *d = device_named(m, seen[number]); \
    if (!d) return NO_DEVICE;

int cuDeviceGetCount(int *count) {
    if (seen_count < 0) return NO_INIT;
    *count = seen_count;
    return 0;
}

int cuDeviceGet(int *device, int number) {
    BEGIN
    *device = number;
    return 0;
}

static int uuid_bytes(const char *text, Uuid *uuid) {
    int digits = 0;
    memset(uuid, 0, sizeof *uuid);
    for (text += 4; *text && digits < 32; text++) {
        if (!isxdigit((unsigned char)*text)) continue;
        int value = isdigit((unsigned char)*text) ? *text - '0' : tolower(*text) - 'a' + 10;
        uuid->bytes[digits / 2] |= digits % 2 ? value : value << 4;
        digits++;
    }
    return 0;
}

int cuDeviceGetUuid_v2(Uuid *uuid, int number) {
    BEGIN
    return m->cuda_uuids ? uuid_bytes(d->uuid, uuid) : UNSUPPORTED;
}

int cuDeviceGetUuid(Uuid *uuid, int number) {
    BEGIN
    return m->cuda_uuids ? uuid_bytes(d->parent[0] ? d->parent : d->uuid, uuid) : UNSUPPORTED;
}

int cuDeviceGetName(char *text, int size, int number) {
    BEGIN
    snprintf(text, size, "%s", d->name);
    return 0;
}

int cuDeviceTotalMem_v2(size_t *bytes, int number) {
    BEGIN
    *bytes = (size_t)d->total_mib * (1 << 20) / 100 * 99;  /* CUDA tells less than NVML */
    return 0;
}

int cuDeviceGetPCIBusId(char *text, int size, int number) {
    BEGIN
    if (!m->cuda_uuids) return UNSUPPORTED;
    Device *card = d->parent[0] ? device_named(m, d->parent) : d;
    snprintf(text, size, "%s", card->bus + (strlen(card->bus) > 12 ? 4 : 0));
    return 0;
}

/* Memory that a program takes is held until its process ends: see machine.h. */
int cuDevicePrimaryCtxRetain(void **context, int number) {
    BEGIN
    *context = (void *)(long)(number + 1);
    return 0;
}

int cuCtxSetCurrent(void *context) { return context ? 0 : 201; }

int cuMemAlloc_v2(unsigned long long *memory, size_t bytes) {
    static int taken;
    char path[8192], beside[8192];
    Machine *m = machine();
    if (seen_count < 1) return NO_INIT;
    long mib = (long)(bytes >> 20), used = 0;
    Device *d = device_named(m, seen[0]);
    for (int i = 0; i < m->holder_count; i++)
        if (!strcmp(m->holders[i].uuid, d->uuid) && !kill(m->holders[i].pid, 0))
            used += m->holders[i].mib;
    if (d->used_mib + used + mib > d->total_mib) return 2;
    snprintf(path, sizeof path, "%s/held/%d-%d", folder(), getpid(), ++taken);
    snprintf(beside, sizeof beside, "%s/held/.%d-%d", folder(), getpid(), taken);
    FILE *file = fopen(beside, "w");
    if (!file) return 999;
    fprintf(file, "holder|%s|%d|%ld|1|%d\n", d->uuid, getpid(), mib, m->cuda_linger);
    fclose(file);
    if (rename(beside, path)) return 999;
    *memory = 1;
    return 0;
}

int cuGetErrorString(int code, const char **text) {
    *text = code == NO_DEVICE ? "no CUDA-capable device is detected" : "unknown error";
    return 0;
}
