/* The machine that both libraries speak of: read afresh at each call from the file `machine` in
   the library's own folder, so that a test changes it while programs run. A line is a kind and
   its fields, divided by '|'; fake_driver.py writes them and says what they mean. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dirent.h>
#include <unistd.h>

#define MOST 64
#define WORD 128
#define HANGS -1  /* a code that is never answered, until it is another one */

typedef struct {
    char uuid[WORD], name[WORD], bus[WORD], parent[WORD];
    long total_mib, used_mib;
    int code, split, tells_uuid;
} Device;

typedef struct {
    char uuid[WORD];
    long pid, mib;
    int tied, linger;
} Holder;

typedef struct {
    int init_code, generation, memory_v2, memory_code, cuda_uuids, cuda_deaf, cuda_code, cuda_linger;
    long reserved_mib;
    Device cards[MOST], parts[MOST];
    int card_count, part_count;
    Holder holders[MOST];
    int holder_count;
    char late_uuid[WORD];
    long late_mib;
    int late_reads, late_generation;
    char cuda_order[MOST][WORD];
    int cuda_count;
} Machine;

static const char *folder(void) {
    static char found[4096];
    if (!found[0]) {
        Dl_info info;
        dladdr((void *)folder, &info);
        snprintf(found, sizeof found, "%s", info.dli_fname);
        char *slash = strrchr(found, '/');
        if (slash) *slash = 0; else strcpy(found, ".");
    }
    return found;
}

static int split_fields(char *line, char fields[][WORD], int most) {
    int count = 0;
    line[strcspn(line, "\n")] = 0;
    for (char *rest = line; rest && count < most; count++) {
        char *bar = strchr(rest, '|');
        if (bar) *bar = 0;
        snprintf(fields[count], WORD, "%s", rest);
        rest = bar ? bar + 1 : NULL;
    }
    return count;
}

static void add_holder(Machine *m, char f[][WORD]) {
    if (m->holder_count == MOST) return;
    Holder *h = &m->holders[m->holder_count++];
    snprintf(h->uuid, WORD, "%s", f[1]);
    h->pid = atol(f[2]); h->mib = atol(f[3]); h->tied = atoi(f[4]); h->linger = atoi(f[5]);
}

static void add_line(Machine *m, char f[][WORD]) {
    if (!strcmp(f[0], "driver")) {
        m->init_code = atoi(f[1]); m->generation = atoi(f[2]); m->memory_v2 = atoi(f[3]);
        m->reserved_mib = atol(f[4]); m->memory_code = atoi(f[5]);
    } else if (!strcmp(f[0], "card") && m->card_count < MOST) {
        Device *d = &m->cards[m->card_count++];
        snprintf(d->uuid, WORD, "%s", f[1]); snprintf(d->name, WORD, "%s", f[2]);
        snprintf(d->bus, WORD, "%s", f[3]);
        d->total_mib = atol(f[4]); d->used_mib = atol(f[5]); d->code = atoi(f[6]);
        d->split = atoi(f[7]); d->tells_uuid = atoi(f[8]);
    } else if (!strcmp(f[0], "part") && m->part_count < MOST) {
        Device *d = &m->parts[m->part_count++];
        snprintf(d->parent, WORD, "%s", f[1]); snprintf(d->uuid, WORD, "%s", f[2]);
        snprintf(d->name, WORD, "%s", f[3]);
        d->total_mib = atol(f[4]); d->used_mib = atol(f[5]); d->tells_uuid = 1;
    } else if (!strcmp(f[0], "holder")) {
        add_holder(m, f);
    } else if (!strcmp(f[0], "late")) {
        snprintf(m->late_uuid, WORD, "%s", f[1]);
        m->late_mib = atol(f[2]); m->late_reads = atoi(f[3]); m->late_generation = atoi(f[4]);
    } else if (!strcmp(f[0], "cuda")) {
        m->cuda_code = atoi(f[1]); m->cuda_uuids = atoi(f[2]); m->cuda_deaf = atoi(f[3]);
        m->cuda_linger = atoi(f[4]);
    } else if (!strcmp(f[0], "cuda_order") && m->cuda_count < MOST) {
        snprintf(m->cuda_order[m->cuda_count++], WORD, "%s", f[1]);
    }
}

static void read_lines(Machine *m, const char *path) {
    char line[1024], fields[10][WORD];
    FILE *file = fopen(path, "r");
    if (!file) return;
    while (fgets(line, sizeof line, file)) {
        memset(fields, 0, sizeof fields);
        if (split_fields(line, fields, 10)) add_line(m, fields);
    }
    fclose(file);
}

static Machine *machine(void) {
    static __thread Machine m;
    char path[8192];
    memset(&m, 0, sizeof m);
    snprintf(path, sizeof path, "%s/machine", folder());
    read_lines(&m, path);
    /* Programs that hold memory leave a file each: they cannot all write into one. */
    snprintf(path, sizeof path, "%s/held", folder());
    DIR *held = opendir(path);
    for (struct dirent *entry; held && (entry = readdir(held));) {
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/held/%s", folder(), entry->d_name);
        read_lines(&m, path);
    }
    if (held) closedir(held);
    return &m;
}
