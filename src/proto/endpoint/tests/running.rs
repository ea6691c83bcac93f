//! The open WebSocket and its end.

use super::harness::*;
use crate::proto::connection::SendError;
use crate::proto::endpoint::{CommandError, Ending};
use crate::proto::frame::Kind;
use alloc::string::String;
use alloc::vec;

const CLOSED: CommandError = CommandError::Send(SendError::Closed);

#[test]
fn pair_talks_and_closes() {
    for client_closes in [true, false] {
        let (mut client, mut server) = End::pair();
        client.send("up").expect("room");
        assert_eq!(server.feed(&client.written_by(1)), ["up"]);
        server.send("down").expect("room");
        assert_eq!(client.feed(&server.written()), ["down"]);

        let (first, second) = match client_closes {
            true => (&mut client, &mut server),
            false => (&mut server, &mut client),
        };
        first.close(3000, "done").expect("an open one");
        assert_eq!(first.close(3000, "done"), Err(CLOSED), "twice");
        assert_eq!(first.send("late"), Err(CLOSED));
        assert_eq!(second.feed(&first.written()), ["closed 3000 done by peer"]);
        assert_eq!(second.end.ending(), Ending::GoOn, "the answer is queued");
        assert_eq!(first.feed(&second.written()), ["closed 3000  by us"]);

        assert_eq!(server.end.ending(), Ending::End);
        assert_eq!(client.end.ending(), Ending::GoOn, "it waits for the server");
        assert_eq!(client.eof(), [] as [&str; 0]);
        assert_eq!(client.end.ending(), Ending::End);
        assert_eq!(server.eof(), [] as [&str; 0]);
    }
}

#[test]
fn client_does_not_wait_for_ever_for_the_end() {
    let (mut client, mut server) = End::pair();
    server.close(1000, "").expect("an open one");
    client.now = 100;
    client.feed(&server.written());
    client.written();
    assert_eq!(client.end.deadline(), Some(2100));
    assert_eq!(client.tick(2100), [] as [&str; 0]);
    assert_eq!(client.end.ending(), Ending::End);
}

#[test]
fn close_without_an_answer_is_given_up() {
    let (mut client, _) = End::pair();
    client.now = 500;
    client.close(1000, "").expect("an open one");
    client.written();
    assert_eq!(client.end.deadline(), Some(2500));
    assert_eq!(
        client.tick(2500),
        ["Timeout 1006 0: no answer to our Close"]
    );
    assert_eq!(client.end.ending(), Ending::End);
}

#[test]
fn violation_is_answered_and_lingers() {
    let mut server = End::open_server();
    // Not masked.
    let mut input = vec![0x81, 1, b'x'];
    input.extend(frame(0x81, b"never told"));
    assert_eq!(server.feed(&input), ["Protocol 1002 0: unmasked frame"]);
    assert_eq!(server.end.ending(), Ending::GoOn);
    assert_eq!(server.written(), b"\x88\x10\x03\xeaunmasked frame");
    assert_eq!(server.end.ending(), Ending::EndSending);
    assert_eq!(server.feed(&frame(0x81, b"thrown away")), [] as [&str; 0]);
    assert_eq!(server.end.deadline(), Some(2000));
    assert_eq!(server.tick(2000), [] as [&str; 0]);
    assert_eq!(server.end.ending(), Ending::End);
}

#[test]
fn message_over_the_limit_is_refused_at_its_announcement() {
    let mut server = End::open_server();
    let head = [0x82, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(server.feed(&head), ["Protocol 1009 0: message too big"]);
}

#[test]
fn transport_that_ends_is_told_once() {
    let mut server = End::open_server();
    server.send("never read").expect("room");
    assert_eq!(server.eof(), ["Lost 1006 0: no Close frame before the end"]);
    assert_eq!(server.eof(), [] as [&str; 0]);
    assert_eq!(server.end.buffered(), 0);
    assert_eq!(server.end.ending(), Ending::End);
    assert_eq!(server.send("x"), Err(CLOSED));
    assert_eq!(server.close(1000, ""), Err(CLOSED));
}

#[test]
fn end_is_not_wanted_before_its_event() {
    let mut server = End::open_server();
    server.end.input_ended();
    assert_eq!(server.end.ending(), Ending::GoOn);
    assert_eq!(server.events().len(), 1);
    assert_eq!(server.end.ending(), Ending::End);
}

#[test]
fn silent_peer_is_pinged_and_given_up() {
    let (mut client, mut server) = End::pair();
    assert_eq!(server.end.deadline(), Some(20_000));
    assert_eq!(server.tick(20_000), [] as [&str; 0]);
    let ping = server.written();
    assert_eq!(ping, b"\x89\0");
    assert_eq!(server.end.deadline(), Some(30_000));
    assert_eq!(client.feed(&ping), ["ping "]);
    let pong = client.written();

    server.now = 29_000;
    assert_eq!(server.feed(&pong), ["pong "]);
    assert_eq!(server.end.deadline(), Some(49_000));
    server.tick(49_000);
    server.written();
    assert_eq!(server.tick(59_000), ["Timeout 1006 0: no answer to a ping"]);
    assert_eq!(server.end.ending(), Ending::End);
}

#[test]
fn pong_cannot_be_missing_while_paused() {
    let mut server = End::open_server();
    server.tick(20_000);
    server.written();
    server.end.pause(true, 20_000).expect("an open one");
    assert_eq!(server.end.deadline(), None);
    server.end.pause(false, 90_000).expect("an open one");
    assert_eq!(server.end.deadline(), Some(100_000));
    server.eof();
    assert_eq!(server.end.pause(true, 0), Err(CLOSED));
}

#[test]
fn time_does_not_go_back() {
    let mut server = End::open_server();
    server.tick(19_000);
    server.now = 5;
    server.feed(&frame(0x81, b"x"));
    assert_eq!(server.end.deadline(), Some(39_000));
}

#[test]
fn pings_to_a_peer_that_does_not_read_cost_one_pong() {
    let mut server = End::open_server();
    server.send("it does not read this").expect("room");
    let queued = server.end.buffered();
    for i in 0..10_000_u32 {
        server.feed(&frame(0x89, &i.to_be_bytes()));
    }
    assert_eq!(server.end.buffered(), queued);
    let written = server.written();
    assert_eq!(&written[queued..], b"\x8a\x04\0\0\x27\x0f", "the last one");
}

#[test]
fn pings_that_come_together_are_all_answered() {
    let mut server = End::open_server();
    let pings = [frame(0x89, b"1"), frame(0x89, b"2"), frame(0x89, b"3")].concat();
    server.feed(&pings);
    assert_eq!(server.written(), b"\x8a\x011\x8a\x012\x8a\x013");
}

#[test]
fn held_ping_gives_the_peer_its_whole_time() {
    let mut server = End::open_server();
    server.send("in the way").expect("room");
    assert_eq!(server.tick(20_000), [] as [&str; 0]);
    server.now = 29_000;
    let written = server.written();
    assert_eq!(&written[written.len() - 2..], b"\x89\0");
    assert_eq!(server.end.deadline(), Some(39_000));
}

#[test]
fn send_queue_is_bounded() {
    // A frame's head has 4 bytes, and 4 more for a client's mask.
    for (mut end, fits) in [(End::open_server(), 996), (End::pair().0, 992)] {
        let large = "x".repeat(fits);
        let too_big = Err(CommandError::Send(SendError::TooBig));
        assert_eq!(end.send(&"x".repeat(fits + 1)), too_big);
        assert_eq!(end.send(&large), Ok(()));
        assert_eq!(end.end.buffered(), 1000);
        assert_eq!(end.send(""), Err(CommandError::Again));
        assert_eq!(end.end.ping(b"", &mut end.keys), Err(CommandError::Again));
        assert_eq!(end.end.buffered(), 1000);
        assert_eq!(end.close(1000, ""), Ok(()), "Close is always queued");
    }
}

#[test]
fn more_cannot_have_been_written_than_there_was() {
    let mut server = End::open_server();
    server.send("four").expect("room");
    let told = server.end.written(7, 0, &mut server.keys);
    assert!(matches!(told, Err(CommandError::Invalid(_))));
    assert_eq!(server.end.output(), b"\x81\x04four");
    assert_eq!(server.end.written(5, 0, &mut server.keys), Ok(()));
    assert_eq!(server.end.output(), b"r");
}

#[test]
fn fragments_are_sent_in_order() {
    let (mut client, mut server) = End::pair();
    let keys = &mut Keys(true);
    let end = &mut client.end;
    assert_eq!(
        end.send_fragment(Kind::Text, b"a", false, false, keys),
        Ok(())
    );
    assert_eq!(end.ping(b"?", keys), Ok(()));
    let unfinished = Err(CommandError::Send(SendError::Fragmented));
    assert_eq!(end.send(Kind::Text, b"b", false, keys), unfinished);
    assert_eq!(
        end.send_fragment(Kind::Binary, b"", true, false, keys),
        unfinished
    );
    assert_eq!(
        end.send_fragment(Kind::Text, b"c", true, false, keys),
        Ok(())
    );
    assert_eq!(end.pong(b"!", keys), Ok(()));
    assert_eq!(server.feed(&client.written()), ["ping ?", "ac", "pong !"]);
    assert_eq!(client.feed(&server.written()), ["pong ?"]);
}

#[test]
fn failing_randomness_sends_nothing() {
    let (mut client, mut server) = End::pair();
    client.keys = Keys(false);
    let failed = Err(CommandError::Send(SendError::NoRandomness));
    assert_eq!(client.send("x"), failed);
    assert_eq!(client.end.buffered(), 0);
    // A Pong that is owed cannot be left out.
    server.end.ping(b"?", &mut server.keys).expect("room");
    let events: [String; 1] = client.feed(&server.written()).try_into().expect("one");
    assert_eq!(events, ["NoRandomness 1011 0: no randomness"]);
}

#[test]
fn held_pong_without_randomness_is_a_failure() {
    let (mut client, mut server) = End::pair();
    client.send("in the way").expect("room");
    server.end.ping(b"?", &mut server.keys).expect("room");
    assert_eq!(client.feed(&server.written()), ["ping ?"]);
    client.keys = Keys(false);
    client.written();
    assert_eq!(client.events(), ["NoRandomness 1011 0: no randomness"]);
}

#[test]
fn memory_that_ran_out_elsewhere_ends_it() {
    let mut server = End::open_server();
    server.end.out_of_memory();
    assert_eq!(server.events(), ["NoMemory 1006 0: out of memory"]);
    assert_eq!(server.end.ending(), Ending::End);
}
