# libws for C programmers. `make help` says what there is.

PREFIX     ?= /usr/local
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
DESTDIR    ?=

CARGO ?= cargo
CC    ?= cc

# Everything that is made goes here; the source tree may be read-only.
BUILD ?= $(or $(CARGO_TARGET_DIR),target)
# STD=1: with Rust's std, whose panic guard turns a bug in libws into WS_ERR_INTERNAL instead of an abort.
STD ?=
# dist: fast. board: small.
PROFILE ?= dist
# DROPIN=0: without ws_wfl_*, the interface of websocket_for_linux. PROTO=0: without ws_proto_* and ws_frame_*.
# TLS=0: without wss://.
DROPIN ?= 1
PROTO  ?= 1
# REACH=0: clients without proxies, redirects and kept cookies.
REACH  ?= 1
TLS    ?= 1
# permessage-deflate. bundled: with zlib-rs inside. system: with the system's libz, against which programs are then linked,
# too. 0: without. What is built for boards is small unless asked for more.
DEFLATE ?= $(if $(filter board,$(PROFILE)),0,bundled)
# A Rust target, such as armv7-unknown-linux-gnueabihf, together with CC=arm-linux-gnueabihf-gcc.
TARGET ?=
# For make cross: the tool `cross`, or debian (Debian's packages, no container).
ENGINE ?= cross
# Where the demo listens; 0 picks a free port.
PORT ?= 0

VERSION := $(shell sed -n 's/^version = "\(.*\)"$$/\1/p' Cargo.toml | head -n 1)
REAL    := libws.so.$(VERSION)
# As in build.rs: the major version is that of the ABI.
SONAME  := libws.so.$(firstword $(subst ., ,$(VERSION)))

ifeq ($(filter bundled system 0,$(DEFLATE)),)
  $(error DEFLATE is bundled, system or 0, not '$(DEFLATE)')
endif

empty :=
comma := ,
PARTS := $(if $(STD),std) $(if $(filter-out 0,$(PROTO)),proto) $(if $(filter-out 0,$(DROPIN)),dropin) $(if $(filter-out 0,$(REACH)),reach) \
    $(if $(filter-out 0,$(TLS)),tls) $(if $(filter bundled,$(DEFLATE)),deflate) $(if $(filter system,$(DEFLATE)),deflate-system)
PARTS := $(subst $(empty) ,$(comma),$(strip $(PARTS)))

ifeq ($(STD),)
  FLAVOUR       :=
  CARGO_PROFILE := $(PROFILE)
  # One object for all of libws: see src/runtime.rs.
  CARGO_FLAGS   := $(CARGO_EXTRA)
  RUSTC_FLAGS   := -- --cfg libws_one_object
  # Part of libc since glibc 2.34.
  LIBS_PRIVATE  := -lpthread
else
  FLAVOUR       := -std
  CARGO_PROFILE := $(if $(filter board,$(PROFILE)),board-std,release)
  CARGO_FLAGS   := $(CARGO_EXTRA)
  RUSTC_FLAGS   :=
  LIBS_PRIVATE  := -lgcc_s -lrt -lpthread -lm -ldl
endif
ifeq ($(DEFLATE),system)
  LIBS_PRIVATE  += -lz
endif

CARGO_FLAGS += --no-default-features --features '$(PARTS)'

# With opt-level s LLVM still copies functions into their callers up to a size of 50. Fewer copies are a twentieth of the
# library, and as fast.
ifeq ($(PROFILE),board)
  RUSTC_FLAGS := $(or $(RUSTC_FLAGS),--) -Cllvm-args=-inline-threshold=5
endif

ifneq ($(TARGET),)
  PLACE       := $(BUILD)/$(TARGET)
  CARGO_FLAGS += --target $(TARGET)
  ifneq ($(origin CC),default)
    LINKER_VAR := CARGO_TARGET_$(shell echo $(TARGET) | tr 'a-z-' 'A-Z_')_LINKER
    LINKER     := $(CC)
    # cargo takes one word; the SDK of Yocto sets CC to a command with options.
    ifneq ($(words $(CC)),1)
      LINKER := $(abspath $(PLACE))/cc
      $(shell mkdir -p $(PLACE); printf '#!/bin/sh\nexec %s "$$@"\n' '$(CC)' >$(LINKER); chmod +x $(LINKER))
    endif
    $(LINKER_VAR) ?= $(LINKER)
    export $(LINKER_VAR)
  endif
else
  PLACE := $(BUILD)
endif

RUST_OUT := $(PLACE)/$(CARGO_PROFILE)
LIB      := $(PLACE)/lib$(FLAVOUR)
PROGRAMS := $(PLACE)/c_examples$(FLAVOUR)

.PHONY: all help lib header examples demo test test-arm bench cross setup install uninstall clean FORCE
.DELETE_ON_ERROR:

all: lib

help:
	@echo 'make              build $(LIB)/libws.so and libws.a (STD=1: with the panic guard)'
	@echo 'make install      PREFIX=$(PREFIX) DESTDIR=$(DESTDIR): library, header, pkg-config file'
	@echo 'make uninstall    remove them again'
	@echo 'make examples     build c_examples/*.c into $(PROGRAMS)'
	@echo 'make demo         install what is needed, build and serve the dashboard (PORT=$(PORT))'
	@echo 'make test         install what is needed, build and run all tests'
	@echo 'make cross        TARGET=... ENGINE=$(ENGINE): library, header and examples for ARM in dist/TARGET (docs/cross.md)'
	@echo 'make test-arm     install what is needed, build for both ARM targets and test under qemu'
	@echo 'make bench        measure, write tables and plots into docs/ (ROUNDS=5 SECS=1; with ROWS=a,b only show these)'
	@echo 'make header       generate include/libws.h from src/capi'
	@echo 'make setup        install what tests need (scripts/setup build: what a build needs)'
	@echo 'make clean        remove $(BUILD)'
	@echo
	@echo 'PROFILE=board     small instead of fast'
	@echo 'DROPIN=0 PROTO=0  without ws_wfl_*; without ws_proto_*, ws_frame_*, ws_mask, ws_accept_key'
	@echo 'REACH=0           clients without proxies, redirects, kept cookies'
	@echo 'DEFLATE=system    compress with the system'"'"'s libz instead of zlib-rs inside; 0: not at all, as for boards'
	@echo 'TARGET=armv7-unknown-linux-gnueabihf CC=arm-linux-gnueabihf-gcc    for another machine'
	@echo 'THUMB=0           of make cross: ARM code on armv7 instead of Thumb-2'
	@echo 'BUILD=DIR         build there instead of in $(BUILD)'

# The library

lib: $(LIB)/libws.a $(LIB)/$(REAL) $(LIB)/$(SONAME) $(LIB)/libws.so $(LIB)/libws.pc

# Messages of panics name source files. Where the crates lie on the machine that built libws is nobody's business.
CARGO_HOME ?= $(HOME)/.cargo
RUSTC_WORDS = --remap-path-prefix=$(CARGO_HOME)/registry/src=crates $(RUSTC_EXTRA)
PATHS = --config 'build.rustflags=[$(foreach word,$(RUSTC_WORDS),"$(word)",)]'

# rustup's Rust has parts of libgcc in C, under the same names. Where OBJCOPY is given they give way to libgcc's, which a
# static program has too.
OBJCOPY ?=
MADE     = .made$(if $(OBJCOPY),-with-objcopy)

# cargo knows what has changed. The copies keep their time when nothing has, so that nothing else is built again.
$(LIB)/libws.a: FORCE
	$(CARGO) rustc --locked --lib --crate-type cdylib,staticlib --profile $(CARGO_PROFILE) \
	    $(CARGO_FLAGS) --target-dir $(BUILD) $(PATHS) $(RUSTC_FLAGS)
	@mkdir -p $(LIB)
	@cmp -s $(RUST_OUT)/libws.a $(LIB)/$(MADE) || { cp $(RUST_OUT)/libws.a $@ $(if $(OBJCOPY),&& $(OBJCOPY) -w --weaken-symbol '__*' $@) && \
	    rm -f $(LIB)/.made* && cp $(RUST_OUT)/libws.a $(LIB)/$(MADE); }

$(LIB)/$(REAL): $(LIB)/libws.a FORCE
	@cmp -s $(RUST_OUT)/libws.so $@ || cp $(RUST_OUT)/libws.so $@

$(LIB)/$(SONAME): $(LIB)/$(REAL)
	ln -sf $(REAL) $@

$(LIB)/libws.so: $(LIB)/$(SONAME)
	ln -sf $(SONAME) $@

# $(call pkg_config,PREFIX,LIBDIR,INCLUDEDIR)
pkg_config = sed -e 's|@PREFIX@|$(1)|' -e 's|@LIBDIR@|$(2)|' -e 's|@INCLUDEDIR@|$(3)|' \
    -e 's|@VERSION@|$(VERSION)|' -e 's|@LIBS_PRIVATE@|$(LIBS_PRIVATE)|' libws.pc.in

# For programs that use libws where it was built: PKG_CONFIG_PATH=target/lib.
$(LIB)/libws.pc: libws.pc.in Cargo.toml Makefile
	@mkdir -p $(LIB)
	$(call pkg_config,$(CURDIR),$(abspath $(LIB)),$(CURDIR)/include) >$@

header:
	UPDATE_HEADER=1 $(CARGO) test --target-dir $(BUILD) --test header header_is_up_to_date

install: lib
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(INCLUDEDIR)/websocket_for_linux
	install -m 755 $(LIB)/$(REAL) $(DESTDIR)$(LIBDIR)/$(REAL)
	ln -sf $(REAL) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libws.so
	install -m 644 $(LIB)/libws.a $(DESTDIR)$(LIBDIR)/libws.a
	install -m 644 include/libws.h $(DESTDIR)$(INCLUDEDIR)/libws.h
	install -m 644 include/websocket_for_linux/*.h $(DESTDIR)$(INCLUDEDIR)/websocket_for_linux
	$(call pkg_config,$(PREFIX),$(LIBDIR),$(INCLUDEDIR)) >$(DESTDIR)$(LIBDIR)/pkgconfig/libws.pc

uninstall:
	rm -f $(DESTDIR)$(LIBDIR)/$(REAL) $(DESTDIR)$(LIBDIR)/$(SONAME) $(DESTDIR)$(LIBDIR)/libws.so \
	    $(DESTDIR)$(LIBDIR)/libws.a $(DESTDIR)$(LIBDIR)/pkgconfig/libws.pc \
	    $(DESTDIR)$(INCLUDEDIR)/libws.h
	rm -rf $(DESTDIR)$(INCLUDEDIR)/websocket_for_linux

# The examples

SOURCES  := $(if $(filter 0,$(PROTO)),$(shell grep -L 'ws_proto_\|ws_frame_' c_examples/*.c),$(wildcard c_examples/*.c))
EXAMPLES := $(patsubst c_examples/%.c,$(PROGRAMS)/%,$(SOURCES))
PAGES    := $(patsubst c_examples/%.html,$(PROGRAMS)/%_html.h,$(wildcard c_examples/*.html))

CFLAGS ?= -O2
EXAMPLE_CFLAGS = -std=c99 -Wall -Wextra -Wpedantic -Werror -Iinclude -I$(PROGRAMS) $(CFLAGS)

examples: $(EXAMPLES)

# Linked with libws.a, so that a program can be started, copied to a board and moved without telling the loader where
# libws.so lies. libws.a is one object, of which --gc-sections keeps what the program uses.
$(EXAMPLES): $(PROGRAMS)/%: c_examples/%.c $(LIB)/libws.a | $(PAGES)
	@mkdir -p $(PROGRAMS)
	$(CC) $(EXAMPLE_CFLAGS) -MMD -MP -MF $(PROGRAMS)/.$*.d -MT $@ $< $(LIB)/libws.a -Wl,--gc-sections $(LDFLAGS) $(LIBS_PRIVATE) \
	    -lm -o $@

# A web page as a C array: NAME.html becomes NAME_html and NAME_html_len. A NUL follows and is not counted.
$(PAGES): $(PROGRAMS)/%_html.h: c_examples/%.html
	@mkdir -p $(PROGRAMS)
	{ echo '#include <stddef.h>'; \
	  echo 'static const unsigned char $*_html[] = {'; \
	  od -An -v -tu1 $< | sed 's/[0-9][0-9]*/&,/g'; \
	  echo '0};'; \
	  echo 'static const size_t $*_html_len = sizeof $*_html - 1;'; } >$@

-include $(wildcard $(PROGRAMS)/.*.d)

# The rest

setup:
	scripts/setup test

demo:
	scripts/setup build
	$(MAKE) examples
	$(PROGRAMS)/dashboard --port $(PORT)

test:
	scripts/setup test
	scripts/test

# What it ships is small: PROFILE=board unless said otherwise. For another ARM machine than one of Debian's: docs/cross.md.
cross:
	ENGINE='$(ENGINE)' STD='$(STD)' THUMB='$(THUMB)' DROPIN='$(DROPIN)' PROTO='$(PROTO)' REACH='$(REACH)' BUILD='$(BUILD)' CARGO='$(CARGO)' \
	    DEFLATE='$(if $(filter file,$(origin DEFLATE)),0,$(DEFLATE))' \
	    TLS='$(if $(filter file,$(origin TLS)),0,$(TLS))' PROFILE='$(if $(filter file,$(origin PROFILE)),board,$(PROFILE))' cross/build '$(TARGET)'

test-arm:
	scripts/setup test
	scripts/test-arm

# With ROWS only these, and docs/ stays as it is.
bench:
	scripts/setup bench
	$(MAKE) examples
	BUILD='$(BUILD)' benches/compare --echo '$(PROGRAMS)/echo_server' $(if $(ROWS),--rows '$(ROWS)',--docs) \
	    $(if $(ROUNDS),--rounds '$(ROUNDS)') $(if $(SECS),--secs '$(SECS)')

clean:
	rm -rf $(BUILD)
