/* Compiles a profile with libseccomp, for comparison. Reads lines, writes the program to standard output:
 *   default ACTION
 *   arch TOKEN
 *   rule ACTION NAME COUNT [INDEX OPERATOR VALUE VALUE]...
 * Numbers are decimal. A rule that libseccomp refuses ends it with 3, a profile that it never gets done with (2.5 has
 * such, of few rules) with SIGXCPU. */
#include <inttypes.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <errno.h>
#include <sys/resource.h>

int main(void) {
    char word[16], name[64];
    uint32_t number, count;
    scmp_filter_ctx filter = NULL;
    struct rlimit second = {1, 1};
    setrlimit(RLIMIT_CPU, &second);
    while (scanf("%15s", word) == 1) {
        if (strcmp(word, "default") == 0) {
            if (scanf("%" SCNu32, &number) != 1 || (filter = seccomp_init(number)) == NULL) return 2;
        } else if (strcmp(word, "arch") == 0) {
            if (scanf("%" SCNu32, &number) != 1) return 2;
            int result = seccomp_arch_add(filter, number);
            if (result != 0 && result != -EEXIST) return 2;
        } else if (strcmp(word, "rule") == 0) {
            struct scmp_arg_cmp args[6];
            if (scanf("%" SCNu32 " %63s %" SCNu32, &number, name, &count) != 3 || count > 6) return 2;
            for (uint32_t i = 0; i < count; i++) {
                unsigned op;
                if (scanf("%u %u %" SCNu64 " %" SCNu64, &args[i].arg, &op, &args[i].datum_a, &args[i].datum_b) != 4)
                    return 2;
                args[i].op = op;
            }
            int call = seccomp_syscall_resolve_name(name);
            if (call == __NR_SCMP_ERROR) continue;
            int result = seccomp_rule_add_array(filter, number, call, count, args);
            if (result != 0) {
                fprintf(stderr, "%s: %s\n", name, strerror(-result));
                return 3;
            }
        }
    }
    return seccomp_export_bpf(filter, 1) == 0 ? 0 : 2;
}
