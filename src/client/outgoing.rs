//! The queue of messages that outlive a connection, joined to the connection that is open. Any
//! thread puts messages in; the loop's thread hands them to the connection, a window at a time, and
//! tells what became of them.

use super::attempt::CLOSE;
use super::queue::{Bounds, Queue};
use super::Client;
use crate::engine::{copied, Engine};
use crate::error::{Error, Status};
use crate::net::sys::monotonic_ms;
use crate::net::sys::thread::Mutex;
use crate::proto::frame::Kind;
use crate::proto::utf8;
use crate::text::Line;
use core::sync::atomic::{AtomicBool, Ordering};

/// So many bytes of the queue are with the connection at a time: enough to keep it busy, and few
/// enough that those which wait can still be dropped.
pub const WINDOW: usize = 64 * 1024;

/// Windows that one turn fills.
const ROUNDS: usize = 16;

pub struct Outgoing {
    queue: Mutex<Queue>,
    /// There may be something to do: saves the lock in turns that have nothing to do with it.
    busy: AtomicBool,
    /// A close that comes after what is queued.
    closing: Mutex<Option<Closing>>,
    /// No message is taken any more.
    over: AtomicBool,
    /// on_open is being called: what is queued follows what it sends.
    opening: AtomicBool,
}

struct Closing {
    code: u16,
    reason: Line<128>,
    /// When it waits no longer, in monotonic ms; set by the loop.
    until: Option<u64>,
}

impl Outgoing {
    pub fn new(bounds: Bounds) -> Outgoing {
        Outgoing {
            queue: Mutex::new(Queue::new(bounds)),
            busy: AtomicBool::new(false),
            closing: Mutex::new(None),
            over: AtomicBool::new(false),
            opening: AtomicBool::new(false),
        }
    }

    /// on_open begins or has ended.
    pub fn set_opening(&self, opening: bool) {
        self.opening.store(opening, Ordering::Relaxed);
    }

    /// Some message is not handed to a connection.
    pub fn has_waiting(&self) -> bool {
        self.queue.lock().next().is_some()
    }

    /// The loop is to close when all that is queued has gone, unless it was asked to already.
    pub fn close_after(&self, code: u16, reason: &str) {
        self.closing.lock().get_or_insert_with(|| Closing {
            code,
            reason: Line::from(reason),
            until: None,
        });
    }
}

impl Client {
    /// Takes a message in, whether there is a connection or not; its number. `plain`: it is not compressed.
    pub fn enqueue(&self, kind: Kind, data: &[u8], plain: bool) -> Result<u64, Error> {
        if kind == Kind::Text && !utf8::is_valid(data) {
            return Err(Status::Utf8.into());
        }
        let settings = &self.config.settings;
        if settings.frame_len(data.len()) > settings.max_send_queue {
            return Err(Status::TooBig.into());
        }
        let copy = copied(data)?;
        let (number, is_told) = {
            let mut queue = self.outgoing.queue.lock();
            // Looked at under the lock, so that nothing comes in after the last was told.
            if self.controls.is_giving_up() || self.outgoing.over.load(Ordering::Relaxed) {
                return Err(Status::Closed.into());
            }
            let untold = queue.dropped_count();
            let number = queue.push(kind, copy, plain)?;
            // The first message of a queue, and the first that is dropped, are news.
            (
                number,
                queue.len() > 1 && (untold > 0 || queue.dropped_count() == 0),
            )
        };
        let news = !self.outgoing.busy.swap(true, Ordering::AcqRel);
        if self.engine.is_mine() {
            self.pump(WINDOW);
        } else if news || !is_told {
            self.engine.remote().wake();
        }
        Ok(number)
    }

    /// Messages that nobody was told of yet.
    pub fn queued(&self) -> usize {
        self.outgoing.queue.lock().len()
    }

    /// Hands messages to the open connection until it has `window` bytes to send. Only the loop's
    /// thread can. True: there were some.
    pub(super) fn pump(&self, window: usize) -> bool {
        let Ok(id) = self.current() else { return false };
        if self.outgoing.opening.load(Ordering::Relaxed) {
            return false;
        }
        let mut any = false;
        let settings = &self.config.settings;
        let mut queue = self.outgoing.queue.lock();
        while let Some(item) = queue.next() {
            let need = settings.frame_len(item.data.len());
            let sent = self.engine.with(|l| {
                let before = l.queued(id)?;
                if before >= window || before + need > settings.max_send_queue {
                    return None;
                }
                l.send(id, item.kind, &item.data, item.plain).ok()?;
                l.queued(id)
            });
            let Some(Some(queued)) = sent else { break };
            let end = self.written() + queued as u64;
            queue.took_off(end);
            any = true;
        }
        any
    }

    pub(super) fn pump_if_asked(&self) {
        if self.outgoing.busy.load(Ordering::Acquire) {
            self.pump(WINDOW);
            self.tell();
        }
    }

    /// The end of a turn: tells what the kernel has taken, and hands on as much again.
    pub(super) fn outgoing_settled(&self) {
        if !self.outgoing.busy.load(Ordering::Acquire) {
            return;
        }
        for _ in 0..ROUNDS {
            self.tell();
            {
                let queue = self.outgoing.queue.lock();
                // Under the lock: who comes after finds it cleared and sets it again.
                if queue.is_idle() {
                    self.outgoing.busy.store(false, Ordering::Release);
                    return;
                }
            }
            // None can go: the connection tells when it has room.
            let (true, Ok(id)) = (self.pump(WINDOW), self.current()) else {
                return;
            };
            self.engine.with(|l| l.flush(id));
        }
        // The kernel takes all: others are to have their turn too.
        self.engine.remote().wake();
    }

    /// The connection, which is still the current one, has ended: what the kernel had not taken
    /// waits for the next.
    pub(super) fn outgoing_lost(&self) {
        self.tell();
        self.outgoing.queue.lock().lost();
    }

    /// No further connection comes.
    pub(super) fn drop_outgoing(&self) {
        self.tell();
        {
            let mut queue = self.outgoing.queue.lock();
            self.outgoing.over.store(true, Ordering::Relaxed);
            queue.clear();
        }
        self.tell_dropped(Status::Closed);
    }

    /// A close that waits for what was queued before it: as long as the peer takes that, but not for ever.
    pub(super) fn close_if_asked(&self, engine: &Engine) {
        let Ok(id) = self.current() else { return };
        self.pump(usize::MAX);
        let waiting = self.outgoing.has_waiting();
        let patience = u64::from(self.config.settings.limits.close_timeout);
        let asked = {
            let mut place = self.outgoing.closing.lock();
            let Some(closing) = place.as_mut() else {
                return;
            };
            let now = monotonic_ms();
            let until = *closing.until.get_or_insert(now + patience);
            if waiting && now < until {
                engine.set_timer(CLOSE, Some(until));
                return;
            }
            place.take()
        };
        engine.set_timer(CLOSE, None);
        if let Some(Closing { code, reason, .. }) = asked {
            let reason = core::str::from_utf8(reason.as_bytes()).unwrap_or("");
            let _ = self.close_now(id, code, reason);
        }
    }

    fn tell(&self) {
        // The application may send more inside the callback: looked at anew each time.
        while let Some(taken) = self.taken() {
            let sent = self.outgoing.queue.lock().sent(taken);
            let Some(number) = sent else { break };
            self.handler.sent(number, Status::Ok);
        }
        self.tell_dropped(Status::Again);
    }

    fn tell_dropped(&self, status: Status) {
        // The application may put in again what was dropped, and that be dropped again: it is told
        // of that in the next turn.
        let mut left = self.outgoing.queue.lock().dropped_count();
        while left > 0 {
            let dropped = self.outgoing.queue.lock().dropped();
            let Some(number) = dropped else { break };
            self.handler.sent(number, status);
            left -= 1;
        }
    }

    /// How many bytes of those `written` the kernel has; None without a connection.
    fn taken(&self) -> Option<u64> {
        let id = self.current().ok()?;
        let held = self.engine.with(|l| l.held(id))??;
        Some(self.written().saturating_sub(held as u64))
    }

    /// Bytes that connections have written since the client was made, some of which TLS may still
    /// hold. Of earlier connections nothing is written any more while one is open.
    fn written(&self) -> u64 {
        self.engine.counters().bytes_sent.get()
    }
}
