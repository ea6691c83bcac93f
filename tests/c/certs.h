// Certificates for tests of wss://, made anew by c_examples/make_certs.sh in the folder "certs": ca.pem is what clients
// trust, server.pem with server.key is for localhost and 127.0.0.1.
#ifndef CERTS_H
#define CERTS_H

#include "check.h"

// names: of further servers. Returns 0, said aloud, if there is no openssl.
static inline int make_certificates(const char *names)
{
    char command[1024];
    const char *slash = strrchr(__FILE__, '/');

    if (system("command -v openssl >/dev/null 2>&1") != 0) {
        printf("SKIPPED: there is no openssl to make certificates with\n");
        return 0;
    }
    snprintf(command, sizeof command, "sh '%.*s/../../c_examples/make_certs.sh' certs %s",
             (int)(slash == NULL ? 1 : slash - __FILE__), slash == NULL ? "." : __FILE__, names);
    CHECK_INT(system(command), 0);
    return 1;
}

#endif
