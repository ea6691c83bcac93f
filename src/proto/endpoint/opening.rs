//! The opening handshake: heads in, answers out.

use super::{Cause, CommandError, Endpoint, Event, Failure, Settings, Stage};
use crate::proto::connection::{Connection, Pool, Role, SendError};
use crate::proto::deflate::Agreed;
use crate::proto::handshake::{
    self, c_string, check_extra_headers, Answer, Asked, Offer, RequestView,
};
use crate::proto::http::{self, is_field_value, Fed, HeadBuffer, HttpError, Request};
use crate::proto::outbox::Outbox;
use crate::proto::url::ClientUrl;
use crate::proto::OutOfMemory;
use alloc::vec::Vec;

impl Endpoint {
    pub fn server(settings: Settings, now: u64) -> Endpoint {
        Endpoint::new(Role::Server, settings, [0; 16], now)
    }

    /// A client, whose request is queued. The headers have passed
    /// [`check_extra_headers`].
    pub fn client(
        settings: Settings,
        url: &ClientUrl,
        headers: Option<&str>,
        key: [u8; 16],
        now: u64,
    ) -> Result<Endpoint, OutOfMemory> {
        let mut endpoint = Endpoint::new(Role::Client, settings, key, now);
        let mut request = Vec::new();
        let offer = Offer {
            url,
            subprotocols: endpoint.settings.subprotocols.as_deref(),
            headers,
            deflate: endpoint.settings.limits.deflate.as_ref(),
            key,
        };
        handshake::write_request(&mut request, &offer)?;
        endpoint.out.push(&[&request])?;
        Ok(endpoint)
    }

    fn new(role: Role, settings: Settings, key: [u8; 16], now: u64) -> Endpoint {
        let until = now.saturating_add(u64::from(settings.handshake_timeout));
        Endpoint {
            settings,
            role,
            stage: Stage::Head {
                head: HeadBuffer::new(),
                key,
                until,
            },
            out: Outbox::new(),
            pool: Pool::none(),
            view: Vec::new(),
            subprotocol: None,
            opened: false,
            failure: None,
            input_ended: false,
            now,
        }
    }

    pub(super) fn read_head(&mut self, input: &[u8], at: &mut usize) -> Option<Event> {
        loop {
            let Stage::Head { head, .. } = &mut self.stage else {
                return None;
            };
            let rest = input.get(*at..).unwrap_or_default();
            let event = match head.feed(rest) {
                Ok(Fed::NeedMore) => {
                    *at = input.len();
                    return None;
                }
                Ok(Fed::Complete(used)) => {
                    *at += used;
                    let head = head.take();
                    match self.role {
                        Role::Server => Some(self.read_request(head)),
                        Role::Client => self.read_response(head),
                    }
                }
                Err(error) => Some(self.bad_head(error, false)),
            };
            // None: an interim answer, after which the real one follows.
            if event.is_some() {
                return event;
            }
        }
    }

    fn read_request(&mut self, head: Vec<u8>) -> Event {
        let (request, upgrade) = match Asked::read(head) {
            Asked::Upgrade(request, handshake) => (request, Some(handshake)),
            Asked::Page(request) => match handshake::check_page(&request) {
                Ok(()) => (request, None),
                Err(error) => return self.bad_head(error, is_head(&request)),
            },
            Asked::Refused(request, error) => {
                return self.bad_head(error, request.as_ref().is_some_and(is_head))
            }
        };
        let mut view = RequestView::new(request, &"");
        let agreed = match upgrade {
            Some(_) => view.agree(self.settings.subprotocols.as_deref()),
            None => Ok(()),
        };
        if agreed.is_err() || self.view.try_reserve_exact(1).is_err() {
            return self.bad_head(OutOfMemory.into(), false);
        }
        self.view.push(view);
        let until = match &self.stage {
            Stage::Head { until, .. } => *until,
            _ => self.now,
        };
        self.stage = Stage::Asked { upgrade, until };
        match upgrade {
            Some(_) => Event::Request,
            None => Event::Page,
        }
    }

    fn read_response(&mut self, head: Vec<u8>) -> Option<Event> {
        let Stage::Head { key, .. } = &self.stage else {
            return None;
        };
        let offered = self.settings.subprotocols.as_deref();
        match handshake::read_response(head, key, offered, self.settings.limits.deflate.as_ref()) {
            Ok(Answer::Interim) => None,
            Ok(Answer::Agreed {
                subprotocol,
                deflate,
            }) => {
                self.subprotocol = subprotocol;
                self.open(Role::Client, deflate);
                Some(Event::Open)
            }
            Err(error) => {
                self.over();
                Some(Event::Failed(Failure {
                    http_status: error.status,
                    ..Failure::new(Cause::Handshake, error.why)
                }))
            }
        }
    }

    /// A server answers a head that is none, a client ends.
    fn bad_head(&mut self, error: HttpError, head_only: bool) -> Event {
        let mut failure = Failure::new(Cause::Handshake, error.why);
        let mut out = Vec::new();
        let answered = self.role == Role::Server
            && handshake::write_refusal(&mut out, error, head_only).is_ok()
            && self.out.push(&[&out]).is_ok();
        if answered {
            failure.http_status = error.status;
            self.end_after_answer();
        } else {
            self.over();
        }
        Event::Failed(failure)
    }

    /// Agrees to the upgrade that waits. `subprotocol`: None for the one that the settings lead to,
    /// "" for none. `headers`: lines "Name: value\r\n", the last CRLF may be missing.
    pub fn accept(
        &mut self,
        subprotocol: Option<&str>,
        headers: &str,
        now: u64,
    ) -> Result<(), CommandError> {
        let mut handshake = match &self.stage {
            Stage::Asked {
                upgrade: Some(handshake),
                ..
            } => *handshake,
            Stage::Asked { .. } => {
                return Err(CommandError::Invalid("the request is no upgrade"));
            }
            _ => return Err(self.nothing_to_answer()),
        };
        let lines = whole_lines(headers)?;
        let Some(view) = self.view.first_mut() else {
            return Err(CommandError::Send(SendError::Closed));
        };
        let chosen = match subprotocol {
            None => None,
            Some("") => Some(None),
            Some(name) if view.offers(name) => Some(Some(c_string(name)?)),
            Some(_) => {
                return Err(CommandError::Invalid(
                    "the client did not offer this subprotocol",
                ))
            }
        };
        let agreed = chosen.as_ref().unwrap_or(&view.subprotocol);
        let agreed = agreed.as_ref().and_then(|name| name.to_str().ok());
        let mut out = Vec::new();
        handshake.agree(self.settings.limits.deflate.as_ref(), &view.request);
        handshake::write_accept(&mut out, &handshake, agreed, &lines)?;
        self.out.push(&[&out])?;
        if let Some(chosen) = chosen {
            view.subprotocol = chosen;
        }
        self.clock(now);
        self.open(Role::Server, handshake.deflate());
        self.opened = true;
        Ok(())
    }

    fn open(&mut self, role: Role, deflate: Option<Agreed>) {
        let mut connection = Connection::new(role, self.now);
        connection.set_deflate(deflate);
        self.stage = Stage::Open(connection);
    }

    /// Answers the request that waits with something other than a WebSocket: an upgrade is refused,
    /// an ordinary request gets its page. The transport ends after it.
    pub fn refuse(
        &mut self,
        status: u16,
        content_type: Option<&str>,
        headers: &str,
        body: &[u8],
        now: u64,
    ) -> Result<(), CommandError> {
        let lowest = match &self.stage {
            Stage::Asked {
                upgrade: Some(_), ..
            } => 300,
            Stage::Asked { .. } => 200,
            _ => return Err(self.nothing_to_answer()),
        };
        if !(lowest..=599).contains(&status) {
            let why = "http_status is not 200 to 599 for a page, 300 to 599 for a refusal";
            return Err(CommandError::Invalid(why));
        }
        if !content_type.is_none_or(|t| is_field_value(t.as_bytes())) {
            let why = "content_type has a character that HTTP forbids";
            return Err(CommandError::Invalid(why));
        }
        let lines = whole_lines(headers)?;
        let head_only = self.view.first().is_some_and(|v| is_head(&v.request));
        let mut out = Vec::new();
        http::Reply {
            status,
            content_type,
            headers: &lines,
            body,
            keep_alive: false,
            head_only,
        }
        .write(&mut out)?;
        self.out.push(&[&out])?;
        self.clock(now);
        self.end_after_answer();
        Ok(())
    }

    fn end_after_answer(&mut self) {
        let linger = u64::from(self.settings.limits.close_timeout);
        self.stage = Stage::Ended {
            until: self.now.saturating_add(linger),
        };
    }

    fn nothing_to_answer(&self) -> CommandError {
        match &self.stage {
            Stage::Ended { .. } | Stage::Over => CommandError::Send(SendError::Closed),
            _ => CommandError::Invalid("no request waits for an answer"),
        }
    }
}

fn is_head(request: &Request) -> bool {
    request.method() == c"HEAD"
}

/// Checked header lines, the last one ended.
fn whole_lines(headers: &str) -> Result<Vec<u8>, CommandError> {
    check_extra_headers(headers).map_err(CommandError::Invalid)?;
    let end: &[u8] = match headers {
        "" => b"",
        whole if whole.ends_with("\r\n") => b"",
        _ => b"\r\n",
    };
    let mut lines = Vec::new();
    http::append(&mut lines, &[headers.as_bytes(), end])?;
    Ok(lines)
}
