//! The headers for programs that were written for websocket_for_linux, and the programs of `tests/c_dropin`: each is
//! compiled as C and as C++, and run with libws.so.

mod common;

use std::fs;
use std::path::PathBuf;

use common::{aloud, programs_in, root, Linkage, Place};
use ws::abi::table::{WsClient, WsServer, WsThread};

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

programs! { dates echo_push file_transfer heartbeat hostile packets reuse server }

#[test]
fn every_program_of_tests_c_dropin_is_run() {
    assert_eq!(programs_in("c_dropin"), PROGRAMS);
}

fn run_program(name: &str) {
    let Some(place) = Place::new(&format!("dropin-{name}")) else {
        return;
    };
    let source = root().join("tests/c_dropin").join(name).with_extension("c");
    let program = place.dir.join(name);
    place.compile(
        "c11",
        std::slice::from_ref(&source),
        Linkage::Dynamic,
        &program,
    );
    let text = fs::read_to_string(&source).expect("the program is there");
    let text = text.replace(
        "#include \"dropin.h\"",
        &format!(
            "#include \"{}\"",
            root().join("tests/c_dropin/dropin.h").display()
        ),
    );
    let as_cxx = place.write(&format!("{name}.cpp"), &text);
    place.compile(
        "c++11",
        &[as_cxx],
        Linkage::Dynamic,
        &place.dir.join("as_cxx"),
    );
    for line in place.run(&program).lines() {
        if line.contains(" clients, ") {
            aloud(&format!("{name}: {}", line.trim()));
        }
    }
}

/// Names that a program may well have for things of its own, in two files that see each other's.
const TRAPS: &str = r#"
#include "ws_server.h"
#include "ws_com.h"
#include "ws_server.h"

struct transport {
    int32_t (*ws_send)(int32_t fd, const void *buff, int32_t buffLen, bool mask, Ws_DataType type);
    int ws_recv;
};

#ifdef __cplusplus
namespace mine {
class Socket {
public:
    int ws_send(int x) { return x; }
};
inline int ws_time(void) { return 7; }
}
#endif

int FUNCTION(struct transport *transport);
int FUNCTION(struct transport *transport)
{
    int ws_delayms_count = 1;
    int result = 0;

    transport->ws_recv = ws_delayms_count;
    transport->ws_send = ws_send;
#ifdef __cplusplus
    mine::Socket socket;
    result += socket.ws_send(0) + mine::ws_time() - 7;
#endif
    /* A literal for each text; refused before anything happens. */
    result += ws_requestServer("", 0, "/", 1) > 0;
    result += ws_replyClient(-1, "", 0, "/") > 0;
    result += transport->ws_send(-1, "data", 4, false, WDT_TXTDATA) > 0;
    return result;
}
"#;

const MAIN: &str = r#"
#define FUNCTION one
#include "traps.h"
int two(struct transport *transport);
int main(void)
{
    struct transport transport;

    return one(&transport) + two(&transport);
}
"#;

const OTHER: &str = "#define FUNCTION two\n#include \"traps.h\"\n";

#[test]
fn headers_compile_in_every_language_and_clash_with_nothing() {
    let Some(place) = Place::new("dropin-traps") else {
        return;
    };
    place.write("traps.h", TRAPS);
    for (standard, extension) in [
        ("c89", "c"),
        ("gnu89", "c"),
        ("c99", "c"),
        ("c11", "c"),
        ("c++98", "cpp"),
        ("c++11", "cpp"),
        ("c++17", "cpp"),
    ] {
        let mut main = MAIN.to_owned();
        if standard == "c11" || standard == "c++11" {
            // Beside the interface of its own.
            main = format!("#include <libws.h>\n{main}#include <libws.h>\n");
        }
        let sources = [
            place.write(&format!("main.{extension}"), &main),
            place.write(&format!("other.{extension}"), OTHER),
        ];
        let program = place.dir.join(standard);
        place.compile(standard, &sources, Linkage::Dynamic, &program);
        place.run(&program);
    }
}

#[test]
fn structs_are_laid_out_as_in_rust() {
    let Some(place) = Place::new("dropin-layout") else {
        return;
    };
    let mut checks = String::new();
    macro_rules! layout {
        ($rust:ident $c:ident: $($field:ident $name:literal)*) => {
            // Does not compile when a field is missing here.
            let _ = |$rust { $($field: _),* }: &$rust| {};
            checks += &format!("    CHECK(sizeof({}), {});\n", stringify!($c), size_of::<$rust>());
            $(checks += &format!(
                "    CHECK(offsetof({}, {}), {});\n    CHECK(sizeof((({} *)0)->{}), {});\n",
                stringify!($c),
                $name,
                core::mem::offset_of!($rust, $field),
                stringify!($c),
                $name,
                size_of_field(|value: &$rust| &value.$field),
            );)*
        };
    }
    layout!(WsClient Ws_Client: fd "fd" ip "ip" port "port" exit_type "exitType" is_login "isLogin"
        is_exiting "isExiting" recv_bytes "recvBytes" index "index" login_timeout "loginTimeout" private "priv"
        wss "wss" wst "wst");
    layout!(WsThread Ws_Thread: fd_epoll "fd_epoll" client_count "clientCount" is_run "isRun" wss "wss");
    layout!(WsServer Ws_Server: fd "fd" fd_epoll "fd_epoll" port "port" path "path" private "priv"
        client_count "clientCount" is_exit "isExit" lock "lock" on_login "onLogin" on_message "onMessage"
        on_exit "onExit" thread "thread" client "client");
    let program = format!(
        "#include <stddef.h>\n#include <stdio.h>\n#include \"ws_server.h\"\n\
         static int failed;\n\
         #define CHECK(actual, expected) check(#actual, actual, expected)\n\
         static void check(const char *what, size_t actual, size_t expected)\n{{\n\
         if (actual == expected) return;\n\
         printf(\"%s is %zu, in Rust %zu\\n\", what, actual, expected);\nfailed = 1;\n}}\n\
         int main(void)\n{{\n{checks}    return failed;\n}}\n"
    );
    let source = place.write("layout.c", &program);
    let program = place.dir.join("layout");
    place.compile("c99", &[source], Linkage::Static, &program);
    place.run(&program);
}

fn size_of_field<T, F>(_: impl Fn(&T) -> &F) -> usize {
    size_of::<F>()
}

trait Write {
    fn write(&self, name: &str, text: &str) -> PathBuf;
}

impl Write for Place {
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.join(name);
        fs::write(&path, text).expect("the folder is writable");
        path
    }
}
