/* Answers as libnvidia-ml.so.1 does, for the functions that pynvml is asked for here. */

#include "machine.h"

typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } Memory2;
typedef struct { unsigned pid; unsigned long long used; unsigned gpu, compute; } Process;
typedef struct {
    char legacy[16];
    unsigned domain, bus, device, id, subsystem;
    char bus_id[32];
} Pci;

enum { UNINITIALIZED = 1, INVALID = 2, UNSUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7 };
enum { FIRST_PART = 1000 };
static const unsigned long long MIB = 1ull << 20;

static int started, started_generation;
static struct { long pid; int reads; } gone[MOST];
static int late_generation, late_reads_left;

static int ready(Machine *m) {
    return started && started_generation == m->generation ? 0 : UNINITIALIZED;
}

static Device *device_of(Machine *m, void *handle) {
    long number = (long)handle - 1;
    if (number >= FIRST_PART) {
        number -= FIRST_PART;
        return number < m->part_count ? &m->parts[number] : NULL;
    }
    return number >= 0 && number < m->card_count ? &m->cards[number] : NULL;
}

#define BEGIN \
    Machine *m = machine(); \
    if (ready(m)) return UNINITIALIZED; \
    Device *d = device_of(m, handle); \
    while (d && d->code == HANGS) { usleep(20000); m = machine(); d = device_of(m, handle); } \
    if (!d) return INVALID; \
    if (d->code) return d->code;

/* A process that ended holds nothing any more, even before its parent has noticed. */
static int alive(long pid) {
    char path[64], line[512], *state;
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    state = fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
    fclose(file);
    return state && state[2] != 'Z' && state[2] != 'X';
}

/* Memory of a process that ended comes back after some more reads. */
static int lingers(Holder *h) {
    for (int i = 0; i < MOST; i++) {
        if (!gone[i].pid) { gone[i].pid = h->pid; gone[i].reads = 0; }
        if (gone[i].pid == h->pid) return gone[i].reads++ < h->linger;
    }
    return 0;
}

static int within(Machine *m, Device *d, const char *uuid) {
    if (!strcmp(d->uuid, uuid)) return 1;
    for (int i = 0; d->split && i < m->part_count; i++)
        if (!strcmp(m->parts[i].uuid, uuid) && !strcmp(m->parts[i].parent, d->uuid)) return 1;
    return 0;
}

static long used_mib(Machine *m, Device *d) {
    long used = d->used_mib;
    for (int i = 0; i < m->holder_count; i++) {
        Holder *h = &m->holders[i];
        if (within(m, d, h->uuid) && (!h->tied || alive(h->pid) || lingers(h))) used += h->mib;
    }
    if (!strcmp(m->late_uuid, d->uuid)) {
        if (late_generation != m->late_generation) {
            late_generation = m->late_generation;
            late_reads_left = m->late_reads;
        }
        if (late_reads_left > 0) { late_reads_left--; used += m->late_mib; }
    }
    return used < d->total_mib ? used : d->total_mib;
}

int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    Machine *m = machine();
    while (m->init_code == HANGS) { usleep(20000); m = machine(); }
    if (m->init_code) return m->init_code;
    started = 1; started_generation = m->generation;
    return 0;
}

int nvmlShutdown(void) {
    if (!started) return UNINITIALIZED;
    started = 0;
    return 0;
}

const char *nvmlErrorString(int code) { return code == 15 ? "GPU is lost" : "an error"; }

int nvmlSystemGetDriverVersion(char *text, unsigned size) {
    if (ready(machine())) return UNINITIALIZED;
    snprintf(text, size, "580.65.06");
    return 0;
}

int nvmlDeviceGetCount_v2(unsigned *count) {
    Machine *m = machine();
    if (ready(m)) return UNINITIALIZED;
    *count = m->card_count;
    return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
    Machine *m = machine();
    if (ready(m)) return UNINITIALIZED;
    if ((int)index >= m->card_count) return INVALID;
    while (m->cards[index].code == HANGS) { usleep(20000); m = machine(); }
    if (m->cards[index].code) return m->cards[index].code;
    *handle = (void *)(long)(index + 1);
    return 0;
}

int nvmlDeviceGetUUID(void *handle, char *text, unsigned size) {
    BEGIN
    if (!d->tells_uuid) return UNSUPPORTED;
    snprintf(text, size, "%s", d->uuid);
    return 0;
}

int nvmlDeviceGetName(void *handle, char *text, unsigned size) {
    BEGIN
    snprintf(text, size, "%s", d->name);
    return 0;
}

int nvmlDeviceGetPciInfo_v3(void *handle, Pci *info) {
    BEGIN
    if (d->parent[0]) return UNSUPPORTED;
    memset(info, 0, sizeof *info);
    snprintf(info->bus_id, sizeof info->bus_id, "%s", d->bus);
    return 0;
}

int nvmlDeviceGetMemoryInfo(void *handle, Memory *memory) {
    BEGIN
    if (m->memory_code) return m->memory_code;
    unsigned long long used = used_mib(m, d);
    memory->total = (d->total_mib + m->reserved_mib) * MIB;
    memory->used = (used + m->reserved_mib) * MIB;
    memory->free = (d->total_mib - used) * MIB;
    return 0;
}

int nvmlDeviceGetMemoryInfo_v2(void *handle, Memory2 *memory) {
    BEGIN
    if (m->memory_code) return m->memory_code;
    if (!m->memory_v2) return 25;
    unsigned long long used = used_mib(m, d);
    memory->total = (d->total_mib + m->reserved_mib) * MIB;
    memory->reserved = m->reserved_mib * MIB;
    memory->used = used * MIB;
    memory->free = (d->total_mib - used) * MIB;
    return 0;
}

int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned *count, Process *processes) {
    BEGIN
    unsigned found = 0, room = processes ? *count : 0;
    for (int i = 0; i < m->holder_count; i++) {
        Holder *h = &m->holders[i];
        if (!within(m, d, h->uuid) || (h->tied && !alive(h->pid))) continue;
        if (found < room)
            processes[found] = (Process){h->pid, h->mib < 0 ? ~0ull : h->mib * MIB, 0, 0};
        found++;
    }
    *count = found;
    return found > room ? TOO_SMALL : 0;
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(void *handle, unsigned *count, Process *processes) {
    (void)processes;
    BEGIN
    *count = 0;
    return 0;
}

int nvmlDeviceGetMigMode(void *handle, unsigned *current, unsigned *pending) {
    BEGIN
    if (!d->split && m->part_count == 0) return UNSUPPORTED;  /* as consumer cards answer */
    *current = *pending = d->split;
    return 0;
}

int nvmlDeviceGetMaxMigDeviceCount(void *handle, unsigned *count) {
    BEGIN
    *count = 7;
    return 0;
}

int nvmlDeviceGetMigDeviceHandleByIndex(void *handle, unsigned index, void **part) {
    BEGIN
    /* As on real cards, slots may be empty between two parts: here each second one is. */
    for (unsigned i = 0, slot = 0; (int)i < m->part_count; i++) {
        if (strcmp(m->parts[i].parent, d->uuid)) continue;
        if (slot == index) { *part = (void *)(long)(FIRST_PART + i + 1); return 0; }
        slot += 2;
    }
    return NOT_FOUND;
}
