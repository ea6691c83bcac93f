//! What a request head leads to: an open WebSocket, a page, or a refusal with words.

use super::{Reply, RequestView, Server};
use crate::engine::conn::Ending;
use crate::engine::{After, Engine};
use crate::error::Status;
use crate::log;
use crate::net::conns::ConnId;
use crate::net::sys::socket::Addr;
use crate::proto::handshake::{self, Asked, ServerHandshake, PLAIN_TEXT};
use crate::proto::http::{self, HttpError, Request};
use crate::proto::OutOfMemory;
use crate::text::Hex;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

impl Server {
    pub(super) fn answer_head(
        &self,
        engine: &Engine,
        id: ConnId,
        peer: &Addr,
        head: Vec<u8>,
    ) -> After {
        let view = |request| {
            let mut view = RequestView::new(request, peer);
            if let Some(info) = engine.with(|l| l.peer_info(id)).flatten() {
                view.tls_version = Some(info.version);
                view.tls_subject = info.subject;
                view.tls_key = info.key;
            }
            view
        };
        match Asked::read(head) {
            Asked::Upgrade(request, handshake) => {
                self.upgrade(engine, id, view(request), handshake)
            }
            Asked::Page(request) => self.http(engine, id, &view(request)),
            Asked::Refused(None, error) => self.answer_bad_head(engine, id, peer, error),
            Asked::Refused(Some(request), error) => self.refuse(engine, id, &view(request), error),
        }
    }

    pub(super) fn answer_bad_head(
        &self,
        engine: &Engine,
        id: ConnId,
        peer: &Addr,
        error: HttpError,
    ) -> After {
        log::info(words!("{}: {} {}", peer, error.status, error.why));
        engine.counters().handshakes_failed.add(1);
        refuse(engine, id, error, false)
    }

    fn upgrade(
        &self,
        engine: &Engine,
        id: ConnId,
        mut view: RequestView,
        mut handshake: ServerHandshake,
    ) -> After {
        if let Err(error) = self.admit(&view.request) {
            return self.refuse(engine, id, &view, error);
        }
        if view.agree(self.config.subprotocols.as_deref()).is_err() {
            return After::Drop(Ending::NoMemory);
        }
        handshake.agree(self.config.settings.limits.deflate.as_ref(), &view.request);
        // The place is taken before the application is asked, since other loops upgrade, too.
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.config.max_connections {
            self.open.fetch_sub(1, Ordering::Relaxed);
            let error = HttpError {
                status: 503,
                why: "too many connections",
            };
            return self.refuse(engine, id, &view, error);
        }
        let after = self.ask_and_open(engine, id, &mut view, &handshake);
        if !matches!(after, After::Opened) {
            self.open.fetch_sub(1, Ordering::Relaxed);
        }
        after
    }

    fn ask_and_open(
        &self,
        engine: &Engine,
        id: ConnId,
        view: &mut RequestView,
        handshake: &ServerHandshake,
    ) -> After {
        let mut reply = Reply::new(Some(&view.request));
        let verdict = self.handler.upgrade(view, &mut reply);
        if verdict != 0 {
            let status = u16::try_from(verdict)
                .ok()
                .filter(|s| (300..=599).contains(s));
            if status.is_none() {
                log::error(words!(
                    "on_upgrade returned {}, no HTTP status: 500 sent",
                    verdict
                ));
            }
            reply.status = status.unwrap_or(500);
            engine.counters().handshakes_failed.add(1);
            log::info(words!(
                "upgrade refused by the application: {}",
                reply.status
            ));
            return respond(engine, id, &reply, false, false);
        }
        let Reply {
            headers,
            subprotocol,
            ..
        } = reply;
        if let Some(subprotocol) = subprotocol {
            view.subprotocol = subprotocol;
        }
        let agreed = view.subprotocol.as_ref().and_then(|s| s.to_str().ok());
        let mut out = Vec::new();
        if handshake::write_accept(&mut out, handshake, agreed, &headers).is_err() {
            return After::Drop(Ending::NoMemory);
        }
        let deflate = handshake.deflate();
        let opened = engine.with(|l| l.write(id, &out).and_then(|()| l.open(id, deflate)));
        match opened {
            Some(Ok(())) => {
                self.count_lone(deflate, true);
                log::info(words!(
                    "connection {} open: {} {}",
                    Hex(id.0),
                    view.from,
                    view.path()
                ));
                self.handler.open(id, view);
                After::Opened
            }
            Some(Err(Status::NoMemory)) => After::Drop(Ending::NoMemory),
            _ => After::Drop(Ending::Abandoned),
        }
    }

    /// What the configuration says about an upgrade.
    fn admit(&self, request: &Request) -> Result<(), HttpError> {
        let path = request.path().to_bytes();
        if self
            .config
            .path
            .as_ref()
            .is_some_and(|p| p.as_bytes() != path)
        {
            return Err(HttpError {
                status: 404,
                why: "no WebSocket is served at this path",
            });
        }
        self.admit_host(request)?;
        let Some(list) = &self.config.allowed_origins else {
            return Ok(());
        };
        match request.header(b"origin") {
            Some(origin) if !handshake::origin_allowed(list, origin.to_bytes(), host(request)) => {
                Err(HttpError {
                    status: 403,
                    why: "this Origin is not allowed",
                })
            }
            _ => Ok(()),
        }
    }

    /// Whether the request's Host is one that is served.
    fn admit_host(&self, request: &Request) -> Result<(), HttpError> {
        match &self.config.allowed_hosts {
            Some(list) if !handshake::list_allows(list, host(request)) => Err(HttpError {
                status: 403,
                why: "this Host is not served",
            }),
            _ => Ok(()),
        }
    }

    fn http(&self, engine: &Engine, id: ConnId, view: &RequestView) -> After {
        let request = &view.request;
        if let Err(error) = self.admit_host(request) {
            return self.refuse(engine, id, view, error);
        }
        if let Err(error) = handshake::check_page(request) {
            return self.refuse(engine, id, view, error);
        }
        engine.counters().http_requests.add(1);
        let mut reply = Reply::new(None);
        if reply
            .set_body(404, Some(PLAIN_TEXT), b"not found\n")
            .is_err()
        {
            return After::Drop(Ending::NoMemory);
        }
        self.handler.http(view, &mut reply);
        let head_only = view.method() == c"HEAD";
        respond(engine, id, &reply, request.keep_alive(), head_only)
    }

    fn refuse(&self, engine: &Engine, id: ConnId, view: &RequestView, error: HttpError) -> After {
        log::info(words!(
            "{} refused: {} {}",
            view.from,
            error.status,
            error.why
        ));
        engine.counters().handshakes_failed.add(1);
        refuse(engine, id, error, view.method() == c"HEAD")
    }
}

fn host(request: &Request) -> &[u8] {
    request.header(b"host").map_or(&b""[..], |h| h.to_bytes())
}

fn refuse(engine: &Engine, id: ConnId, error: HttpError, head_only: bool) -> After {
    let mut out = Vec::new();
    let written = handshake::write_refusal(&mut out, error, head_only);
    queue(engine, id, written.map(|()| &out[..]), false)
}

fn respond(
    engine: &Engine,
    id: ConnId,
    reply: &Reply<'_>,
    keep_alive: bool,
    head_only: bool,
) -> After {
    let mut out = Vec::new();
    let written = http::Reply {
        status: reply.status,
        content_type: reply.content_type.as_deref(),
        headers: &reply.headers,
        body: &reply.body,
        keep_alive,
        head_only,
    }
    .write(&mut out);
    queue(engine, id, written.map(|()| &out[..]), keep_alive)
}

fn queue(
    engine: &Engine,
    id: ConnId,
    response: Result<&[u8], OutOfMemory>,
    keep_alive: bool,
) -> After {
    let queued = response.map_err(Status::from).and_then(|bytes| {
        engine
            .with(|l| l.write(id, bytes))
            .unwrap_or(Err(Status::Internal))
    });
    match queued {
        Ok(()) if keep_alive => After::Next,
        Ok(()) => After::Last,
        Err(_) => After::Drop(Ending::NoMemory),
    }
}
