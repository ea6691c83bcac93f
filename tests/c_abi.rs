//! The C face as C programs see it: the header in three languages, the layout of every struct, and the programs of
//! `tests/c`, each linked with libws.a and with libws.so.
//! How the library is found and the programs are run is in `common`.

mod common;

use std::fs;
use std::sync::RwLock;

use common::{aloud, programs_in, root, Linkage, Place};
use ws::abi;

/// One test for each program, so that results have names.
macro_rules! programs {
    ($($name:ident)*) => {
        const PROGRAMS: &[&str] = &[$(stringify!($name)),*];
        $(#[test]
        fn $name() {
            run_program(stringify!($name));
        })*
    };
}

programs! { allocations backpressure callbacks client client_failures closing deflate flaky frame hammer limits misuse misuse_send pieces proto proto_misuse proxies
queue races reach receiving reconnect reentry sending server_modes tls upgrade wakeups }

#[test]
fn every_program_of_tests_c_is_run() {
    assert_eq!(programs_in("c"), PROGRAMS);
}

#[test]
fn header_compiles_as_c99_c11_and_cxx11_from_two_files() {
    let Some(place) = Place::new("header") else {
        return;
    };
    let one = "#include <libws.h>\n#include <libws.h>\nconst char *other(void);\n\
               int main(void) { return ws_version() == other() ? 0 : 1; }\n";
    let two = "#include <libws.h>\nconst char *other(void);\n\
               const char *other(void) { ws_server_config config; (void)config; return ws_version(); }\n";
    for (standard, extension) in [("c99", "c"), ("c11", "c"), ("c++11", "cpp")] {
        let sources = [("one", one), ("two", two)].map(|(name, text)| {
            let path = place.dir.join(format!("{name}.{extension}"));
            fs::write(&path, text).expect("the folder is writable");
            path
        });
        let program = place.dir.join(standard);
        place.compile(standard, &sources, Linkage::Static, &program);
        place.run(&program);
    }
}

/// The C side is made from the header's text and the Rust side by exhaustive patterns, so that no field and no value can
/// be left out on either.
#[test]
fn structs_and_enums_are_laid_out_as_in_rust() {
    let Some(place) = Place::new("layout") else {
        return;
    };
    let header = fs::read_to_string(root().join("include/libws.h")).expect("the header is there");
    let source = place.dir.join("layout.c");
    fs::write(&source, layout_program(&header)).expect("the folder is writable");
    let program = place.dir.join("layout");
    place.compile("c99", &[source], Linkage::Static, &program);
    let mut seen: Vec<String> = place.run(&program).lines().map(str::to_owned).collect();
    let mut expected = rust_layout();
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);
}

// --- layout ---

fn rust_layout() -> Vec<String> {
    let mut lines = Vec::new();
    macro_rules! layout {
        ($type:ident: $($field:ident)*) => {
            // Does not compile when a field is missing here.
            let _ = |abi::$type { $($field: _),* }: &abi::$type| {};
            lines.push(format!("{} size {}", stringify!($type), size_of::<abi::$type>()));
            $(lines.push(format!(
                "{}.{} {} {}",
                stringify!($type),
                stringify!($field).trim_start_matches("r#"),
                core::mem::offset_of!(abi::$type, $field),
                size_of_field(|value: &abi::$type| &value.$field),
            ));)*
        };
    }
    macro_rules! values {
        ($type:ident: $($value:ident)*) => {
            let _ = |value: abi::$type| match value { $(abi::$type::$value => (),)* };
            $(lines.push(format!("{} {}", stringify!($value), abi::$type::$value as i32));)*
        };
    }
    layout!(ws_message: kind data len);
    layout!(ws_piece: kind data len offset last);
    layout!(ws_close_info: status code by_peer reason);
    layout!(ws_stats: struct_size connections_open connections_total handshakes_failed http_requests messages_received
        messages_sent messages_dropped bytes_received bytes_sent protocol_errors timeouts deflate_sent_before
        deflate_sent_after deflate_received_before deflate_received_after);
    layout!(ws_server_config: struct_size threads max_connections max_message_size max_send_queue receive_buffer_size
        handshake_timeout_ms close_timeout_ms ping_interval_ms pong_timeout_ms path subprotocols allowed_origins
        allowed_hosts on_upgrade on_http on_open on_message on_piece on_writable on_pong on_close user reuse_port
        keepalive_s deflate deflate_options tls_cert tls_key tls_more_certs tls_more_certs_len tls_client_ca tls_client_optional
        tls_clock_not_before);
    layout!(ws_tls_cert: cert key);
    layout!(ws_client_config: struct_size url subprotocols headers connect_timeout_ms close_timeout_ms ping_interval_ms
        pong_timeout_ms max_message_size max_send_queue receive_buffer_size reconnect_min_ms reconnect_max_ms on_open
        on_message on_piece on_writable on_pong on_close user proxy bearer_token cookies interface_name source_address
        proxy_from_env keep_cookies max_redirects keepalive_s queue_messages queue_policy queue_bytes on_reconnect
        on_sent deflate deflate_options tls_ca tls_pins tls_cert tls_key tls_server_name tls_insecure_skip_verify tls_clock_not_before);
    layout!(ws_reconnect_info: attempt delay_ms status http_status code permanent reason);
    layout!(ws_proto_config: struct_size role pieces max_message_size max_send_queue handshake_timeout_ms
        close_timeout_ms ping_interval_ms pong_timeout_ms subprotocols url headers deflate deflate_options);
    layout!(ws_deflate_options: struct_size send_window_bits receive_window_bits send_context_takeover
        receive_context_takeover level mem_level min_size max_ratio);
    layout!(ws_deflate_info: struct_size active send_window_bits receive_window_bits send_context_takeover
        receive_context_takeover);
    values!(ws_deflate_mode: WS_DEFLATE_OFF WS_DEFLATE_SMALL WS_DEFLATE_BALANCED WS_DEFLATE_BEST);
    values!(ws_deflate_context: WS_DEFLATE_KEEP WS_DEFLATE_FORGET);
    layout!(ws_proto_event: struct_size r#type kind data len offset last by_peer request status code http_status
        reason);
    layout!(ws_frame_head: fin rsv opcode masked mask len);
    values!(ws_role: WS_SERVER WS_CLIENT);
    values!(ws_proto_event_type: WS_PROTO_NONE WS_PROTO_REQUEST WS_PROTO_HTTP WS_PROTO_OPEN WS_PROTO_MESSAGE
        WS_PROTO_PIECE WS_PROTO_PING WS_PROTO_PONG WS_PROTO_CLOSE WS_PROTO_ERROR);
    values!(ws_proto_end: WS_PROTO_GO_ON WS_PROTO_END_SENDING WS_PROTO_END);
    values!(ws_opcode: WS_OP_CONTINUATION WS_OP_TEXT WS_OP_BINARY WS_OP_CLOSE WS_OP_PING WS_OP_PONG);
    values!(ws_status: WS_OK WS_ERR_INVALID_ARG WS_ERR_NO_MEMORY WS_ERR_IO WS_ERR_TLS WS_ERR_HANDSHAKE WS_ERR_CLOSED
        WS_ERR_AGAIN WS_ERR_TOO_BIG WS_ERR_UTF8 WS_ERR_REENTRANT WS_ERR_INTERNAL WS_ERR_UNSUPPORTED WS_ERR_TIMEOUT
        WS_ERR_DNS WS_ERR_PROTOCOL);
    values!(ws_queue_policy: WS_QUEUE_REFUSE WS_QUEUE_DROP_OLDEST WS_QUEUE_DROP_NEWEST);
    values!(ws_kind: WS_TEXT WS_BINARY);
    values!(ws_log_level: WS_LOG_NONE WS_LOG_ERROR WS_LOG_WARN WS_LOG_INFO WS_LOG_DEBUG);
    lines
}

fn size_of_field<T, F>(_: impl Fn(&T) -> &F) -> usize {
    size_of::<F>()
}

/// A C program that prints what `rust_layout` lists, for every struct and enum of the header.
fn layout_program(header: &str) -> String {
    let code: String = header
        .lines()
        .map(|line| line.split("//").next().unwrap_or(line).to_owned() + "\n")
        .collect();
    let mut prints = String::new();
    for declaration in code.split("typedef ").skip(1) {
        let Some((before, rest)) = declaration.split_once('{') else {
            continue;
        };
        let Some((body, after)) = rest.split_once('}') else {
            continue;
        };
        let name = after.split(';').next().unwrap_or("").trim();
        match before.trim() {
            "struct" => {
                prints += &format!("    printf(\"{name} size %zu\\n\", sizeof({name}));\n");
                for field in body
                    .split(';')
                    .filter(|field| !field.trim().is_empty())
                    .map(field_name)
                {
                    prints += &format!(
                        "    printf(\"{name}.{field} %zu %zu\\n\", offsetof({name}, {field}), sizeof((({name} *)0)->{field}));\n"
                    );
                }
            }
            "enum" => {
                for value in body.split(',').filter_map(|value| value.split('=').next()) {
                    let value = value.trim();
                    if !value.is_empty() {
                        prints += &format!("    printf(\"{value} %d\\n\", (int){value});\n");
                    }
                }
            }
            other => panic!("typedef {other} {{...}} is unknown to this test"),
        }
    }
    format!(
        "#include <libws.h>\n#include <stdio.h>\n\nint main(void)\n{{\n{prints}    return 0;\n}}\n"
    )
}

/// Of "uint32_t threads", "uint8_t mask[4]" and "void (*on_open)(ws_server *server)".
fn field_name(declaration: &str) -> &str {
    let text = match declaration.split_once("(*") {
        Some((_, rest)) => rest.split(')').next().unwrap_or(rest),
        None => declaration.split('[').next().unwrap_or(declaration),
    };
    text.rsplit(|c: char| !c.is_alphanumeric() && c != '_')
        .find(|word| !word.is_empty())
        .expect("a field has a name")
}

// --- programs ---

/// Programs share the machine, but for those that measure it.
static MACHINE: RwLock<()> = RwLock::new(());

fn run_program(name: &str) {
    let Some(place) = Place::new(name) else {
        return;
    };
    for linkage in [Linkage::Static, Linkage::Dynamic] {
        let program = place.dir.join(format!("{name}-{linkage:?}").to_lowercase());
        place.compile(
            "c11",
            &[root().join("tests/c").join(name).with_extension("c")],
            linkage,
            &program,
        );
        let output = if name == "limits" {
            let _alone = MACHINE
                .write()
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            place.run(&program)
        } else {
            let _shared = MACHINE
                .read()
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            place.run(&program)
        };
        // What was left out is said aloud, not only on failure.
        for line in output
            .lines()
            .filter(|line| line.contains("SKIPPED") || line.contains("REDUCED"))
        {
            aloud(&format!("{name}: {}", line.trim()));
        }
    }
}
