//! Who compresses how: the parameters of RFC 7692 section 7.1, in offers and in answers.
//!
//! Where nothing can be compressed there are no `Settings`. But a reference to them looks as if it could be, so each function
//! asks first, and what follows is left out of such a build.

use super::{Agreed, Direction, Settings};
use crate::proto::http::{append, is_token, trim};
use crate::proto::OutOfMemory;
use crate::zlib;
use alloc::vec::Vec;

const NAME: &[u8] = b"permessage-deflate";
/// Of its parameters.
const NAMES: [&[u8]; 4] = [
    b"server_no_context_takeover",
    b"client_no_context_takeover",
    b"server_max_window_bits",
    b"client_max_window_bits",
];

/// One element of `Sec-WebSocket-Extensions`, as the RFC's four parameters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Parameters {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    client_max_window_bits: Option<Bits>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bits {
    /// Without a value.
    Any,
    Up(u8),
}

impl Bits {
    fn limit(self) -> u8 {
        match self {
            Bits::Any => 15,
            Bits::Up(bits) => bits,
        }
    }
}

/// A server's answer to a client's offers, the first that is good. `offers`: the elements of the header, each of which
/// conforms to its grammar. None: none of them is, or there are none.
pub fn answer<'a>(
    settings: &Settings,
    offers: impl Iterator<Item = &'a [u8]>,
) -> Option<(Agreed, Answer)> {
    zlib::present()?;
    // 7: "If an endpoint gets a permessage-deflate offer [with] an extension parameter not defined for use in an offer
    // [, with an] invalid value, [or with] multiple extension parameters with the same name [...] the server MUST decline".
    let offer = offers.filter_map(Parameters::read).next()?;
    Some(agree(settings, offer))
}

/// What stands in a server's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer(Parameters);

fn agree(settings: &Settings, offer: Parameters) -> (Agreed, Answer) {
    let mut answer = Parameters {
        // 7.1.1.1: a server "accepts [...] by including the "server_no_context_takeover" extension parameter", and may
        // include it unasked.
        server_no_context_takeover: offer.server_no_context_takeover || !settings.send.takeover(),
        ..Parameters::default()
    };
    // 7.1.1.2: likewise. Who offers it does not take over anyway.
    let mut receive_takeover = settings.receive.takeover() && !offer.client_no_context_takeover;
    // 7.1.2.1: "the same or smaller value as the offer". It may stand in an answer unasked.
    let send_bits = settings
        .send
        .window_bits()
        .min(offer.server_max_window_bits.unwrap_or(15));
    if offer.server_max_window_bits.is_some() || send_bits < 15 {
        answer.server_max_window_bits = Some(send_bits);
    }
    // 7.1.2.2: "If a received extension negotiation offer doesn't have the "client_max_window_bits" extension parameter, the
    // corresponding [...] response [...] MUST NOT include" it.
    let receive_bits = match offer.client_max_window_bits {
        Some(offered) => {
            let bits = settings.receive.window_bits().min(offered.limit());
            if bits < 15 || offered != Bits::Any {
                answer.client_max_window_bits = Some(Bits::Up(bits));
            }
            bits
        }
        None => {
            // The window cannot be bounded, but it can be kept from staying.
            if settings.receive.window_bits() < 15 {
                receive_takeover = false;
            }
            15
        }
    };
    answer.client_no_context_takeover = !receive_takeover;
    let agreed = Agreed {
        send: Direction::new(send_bits, !answer.server_no_context_takeover),
        receive: Direction::new(receive_bits, receive_takeover),
        present: settings.present,
    };
    (agreed, Answer(answer))
}

/// Appends the header line of a server's answer.
pub fn write_answer(out: &mut Vec<u8>, answer: &Answer) -> Result<(), OutOfMemory> {
    append(out, &[b"Sec-WebSocket-Extensions: "])?;
    answer.0.write(out)?;
    append(out, &[b"\r\n"])
}

/// What a client offers: first what it wants, then what it can live with.
fn offers(settings: &Settings) -> [Option<Parameters>; 2] {
    let bits =
        |direction: Direction| (direction.window_bits() < 15).then(|| direction.window_bits());
    let first = Parameters {
        server_no_context_takeover: !settings.receive.takeover(),
        // 7.1.1.2: a hint that the client will not.
        client_no_context_takeover: !settings.send.takeover(),
        server_max_window_bits: bits(settings.receive),
        client_max_window_bits: Some(bits(settings.send).map_or(Bits::Any, Bits::Up)),
    };
    // 7.1.2.1: a server may decline an offer with "server_max_window_bits". Then its window is not to stay.
    let second = first.server_max_window_bits.map(|_| Parameters {
        server_no_context_takeover: true,
        server_max_window_bits: None,
        ..first
    });
    [Some(first), second]
}

/// Appends the header line of a client's offers.
pub fn write_offers(out: &mut Vec<u8>, settings: &Settings) -> Result<(), OutOfMemory> {
    if zlib::present().is_none() {
        return Ok(());
    }
    let mut before: &[u8] = b"Sec-WebSocket-Extensions: ";
    for offer in offers(settings).iter().flatten() {
        append(out, &[before])?;
        offer.write(out)?;
        before = b", ";
    }
    append(out, &[b"\r\n"])
}

/// What a client makes of the server's answer, an element of the header.
pub fn read_answer(settings: &Settings, element: &[u8]) -> Result<Agreed, &'static str> {
    if zlib::present().is_none() || name_of(element) != NAME {
        return Err("the server uses an extension that was not offered");
    }
    // 7: "A client MUST _Fail the WebSocket Connection_ if the peer server accepted an extension negotiation offer [with] an
    // extension parameter not defined for use in a response", an invalid value, or the same parameter twice.
    let answer = Parameters::read(element)
        .ok_or("a parameter of permessage-deflate in the answer is unknown, doubled or invalid")?;
    if answer.client_max_window_bits == Some(Bits::Any) {
        return Err("client_max_window_bits in the answer has no value");
    }
    // "[...] or if the client does not support the configuration": one that answers none of its offers.
    let answers_one = offers(settings)
        .iter()
        .flatten()
        .any(|offer| answer.answers(offer));
    if !answers_one {
        return Err("the answer for permessage-deflate is none to what was offered");
    }
    let limit = |own: Direction, bits: Option<u8>| own.window_bits().min(bits.unwrap_or(15));
    let client_bits = answer.client_max_window_bits.map(Bits::limit);
    Ok(Agreed {
        send: Direction::new(
            limit(settings.send, client_bits),
            settings.send.takeover() && !answer.client_no_context_takeover,
        ),
        receive: Direction::new(
            answer.server_max_window_bits.unwrap_or(15),
            !answer.server_no_context_takeover,
        ),
        present: settings.present,
    })
}

impl Parameters {
    /// None: another extension, or a parameter that is unknown, doubled or invalid.
    fn read(element: &[u8]) -> Option<Parameters> {
        let mut parts = element.split(|&b| b == b';').map(trim);
        if parts.next() != Some(NAME) {
            return None;
        }
        let mut read = Parameters::default();
        let mut seen = [false; NAMES.len()];
        for part in parts {
            let mut halves = part.splitn(2, |&b| b == b'=').map(trim);
            let name = halves.next().unwrap_or_default();
            let value = halves.next().map(bits);
            let place = NAMES.iter().position(|known| *known == name)?;
            if core::mem::replace(seen.get_mut(place)?, true) {
                return None;
            }
            match (place, value) {
                (0, None) => read.server_no_context_takeover = true,
                (1, None) => read.client_no_context_takeover = true,
                (2, Some(bits)) => read.server_max_window_bits = Some(bits?),
                (3, None) => read.client_max_window_bits = Some(Bits::Any),
                (3, Some(bits)) => read.client_max_window_bits = Some(Bits::Up(bits?)),
                _ => return None,
            }
        }
        Some(read)
    }

    /// Whether a server may answer this to `offer`.
    fn answers(&self, offer: &Parameters) -> bool {
        (self.server_no_context_takeover || !offer.server_no_context_takeover)
            && match (self.server_max_window_bits, offer.server_max_window_bits) {
                // 7.1.2.1: the same or smaller.
                (Some(answered), Some(offered)) => answered <= offered,
                (None, Some(_)) => false,
                (_, None) => true,
            }
            && match (self.client_max_window_bits, offer.client_max_window_bits) {
                (Some(answered), Some(offered)) => answered.limit() <= offered.limit(),
                (Some(_), None) => false,
                (None, _) => true,
            }
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<(), OutOfMemory> {
        let server_bits = self.server_max_window_bits.map(Bits::Up);
        let flag = |on: bool| on.then_some(Bits::Any);
        let values = [
            flag(self.server_no_context_takeover),
            flag(self.client_no_context_takeover),
            server_bits,
            self.client_max_window_bits,
        ];
        append(out, &[NAME])?;
        for (name, value) in NAMES.iter().zip(values) {
            match value {
                None => {}
                Some(Bits::Any) => append(out, &[b"; ", name])?,
                Some(Bits::Up(bits)) => append(out, &[b"; ", name, b"=", digits(bits)])?,
            }
        }
        Ok(())
    }
}

fn name_of(element: &[u8]) -> &[u8] {
    trim(element.split(|&b| b == b';').next().unwrap_or_default())
}

const DIGITS: [&[u8]; 8] = [b"8", b"9", b"10", b"11", b"12", b"13", b"14", b"15"];

fn digits(bits: u8) -> &'static [u8] {
    let place = usize::from(bits.saturating_sub(8));
    DIGITS.get(place).copied().unwrap_or(b"15")
}

/// 7.1.2.1: "a decimal integer value without leading zeroes between 8 to 15, inclusive". RFC 6455 9.1: it may be quoted, which
/// changes nothing.
fn bits(value: &[u8]) -> Option<u8> {
    let mut plain = [0; 2];
    let mut len = 0;
    let quoted = match value {
        [b'"', quoted @ .., b'"'] => quoted,
        token if is_token(token) => token,
        _ => return None,
    };
    let mut escaped = false;
    for &b in quoted {
        if b == b'\\' && !escaped && quoted.len() != value.len() {
            escaped = true;
            continue;
        }
        escaped = false;
        *plain.get_mut(len)? = b;
        len += 1;
    }
    let plain = plain.get(..len)?;
    let place = DIGITS.iter().position(|digits| *digits == plain)?;
    Some(8 + place as u8)
}
