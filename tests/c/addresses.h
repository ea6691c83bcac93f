// For programs with a getaddrinfo() of their own: the list that it makes, and freeaddrinfo().
#ifndef ADDRESSES_H
#define ADDRESSES_H

#include "check.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdlib.h>

// Appends an IPv4 or IPv6 address to the list whose last link is **end.
static inline void put_address(struct addrinfo ***end, const char *text)
{
    struct addrinfo *info = check_alloc(sizeof *info + sizeof(struct sockaddr_in6));
    struct sockaddr_in *in = (struct sockaddr_in *)(void *)(info + 1);
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)(info + 1);

    info->ai_addr = (struct sockaddr *)(void *)(info + 1);
    if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
        info->ai_family = in->sin_family = AF_INET;
        info->ai_addrlen = sizeof *in;
    } else {
        CHECK(inet_pton(AF_INET6, text, &in6->sin6_addr) == 1);
        info->ai_family = in6->sin6_family = AF_INET6;
        info->ai_addrlen = sizeof *in6;
    }
    info->ai_socktype = SOCK_STREAM;
    **end = info;
    *end = &info->ai_next;
}

void freeaddrinfo(struct addrinfo *info)
{
    while (info != NULL) {
        struct addrinfo *next = info->ai_next;

        free(info);
        info = next;
    }
}

#endif
