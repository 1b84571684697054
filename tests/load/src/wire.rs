//! MQTT 5 on the wire, as little of it as a load needs: the packets that it sends, and a reader that keeps only the
//! head of what comes.

/// What is kept of each packet behind its length: enough for a topic, a packet id and a number in the payload.
const HEAD_BYTES: usize = 96;

/// A packet that came: its first byte, and the beginning of what follows its length.
pub struct Packet<'a> {
    /// Type and flags.
    pub first: u8,
    /// Up to [`HEAD_BYTES`] of the rest.
    pub head: &'a [u8],
}

/// A PUBLISH that came.
pub struct Publish<'a> {
    /// 0 with QoS 0.
    pub pkid: u16,
    pub topic: &'a str,
    /// As much of it as was kept.
    pub payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// The packet type, 1 to 15.
    pub fn kind(&self) -> u8 {
        self.first >> 4
    }

    /// What it says if it is a PUBLISH.
    pub fn publish(&self) -> Option<Publish<'a>> {
        if self.kind() != 3 {
            return None;
        }
        let (length, rest) = self.head.split_first_chunk::<2>()?;
        let (topic, mut rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        let mut pkid = 0;
        if self.first & 0b0110 != 0 {
            let (bytes, after) = rest.split_first_chunk::<2>()?;
            (pkid, rest) = (u16::from_be_bytes(*bytes), after);
        }
        let (&properties, rest) = rest.split_first()?;
        let payload = rest.get(usize::from(properties)..).unwrap_or_default();
        Some(Publish { pkid, topic: std::str::from_utf8(topic).ok()?, payload })
    }
}

/// Makes packets of the bytes that come.
#[derive(Default)]
pub struct Reader {
    fixed: Vec<u8>,
    head: Vec<u8>,
    /// What is still to come of the packet, once its length is known.
    left: Option<usize>,
}

impl Reader {
    /// Takes what came, and shows each packet that is whole with it.
    pub fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(Packet<'_>)) {
        while let Some((&byte, rest)) = bytes.split_first() {
            match &mut self.left {
                None => {
                    self.fixed.push(byte);
                    bytes = rest;
                    if self.fixed.len() > 1 && byte < 0x80 {
                        self.left = Some(length(&self.fixed[1..]));
                    }
                }
                Some(left) => {
                    let (taken, rest) = bytes.split_at(bytes.len().min(*left));
                    let kept = taken.len().min(HEAD_BYTES - self.head.len());
                    self.head.extend(&taken[..kept]);
                    *left -= taken.len();
                    bytes = rest;
                }
            }
            if self.left == Some(0) {
                each(Packet { first: self.fixed[0], head: &self.head });
                self.fixed.clear();
                self.head.clear();
                self.left = None;
            }
        }
    }
}

fn length(bytes: &[u8]) -> usize {
    bytes.iter().rev().fold(0, |length, byte| length << 7 | usize::from(byte & 0x7f))
}

/// A CONNECT with ten minutes to be silent, for a session that outlives the connection; with an expiry of 0 it is a new
/// one that does not.
pub fn connect(id: &str, expiry_s: u32) -> Vec<u8> {
    let mut body = text("MQTT");
    body.extend([5, u8::from(expiry_s == 0) << 1, 2, 88, 5, 17]);
    body.extend(expiry_s.to_be_bytes());
    body.extend(text(id));
    packet(0x10, &body)
}

/// A SUBSCRIBE to one filter.
pub fn subscribe(pkid: u16, filter: &str, qos: u8) -> Vec<u8> {
    let mut body = pkid.to_be_bytes().to_vec();
    body.push(0);
    body.extend(text(filter));
    body.push(qos);
    packet(0x82, &body)
}

/// A PUBLISH; `pkid` makes it one of QoS 1.
pub fn publish(topic: &str, pkid: Option<u16>, retain: bool, payload: &[u8]) -> Vec<u8> {
    let mut body = text(topic);
    body.extend(pkid.map(u16::to_be_bytes).into_iter().flatten());
    body.push(0);
    body.extend(payload);
    packet(0x30 | u8::from(pkid.is_some()) << 1 | u8::from(retain), &body)
}

/// A PUBACK that says success.
pub fn puback(pkid: u16) -> [u8; 4] {
    let [high, low] = pkid.to_be_bytes();
    [0x40, 2, high, low]
}

/// A DISCONNECT that says goodbye.
pub const DISCONNECT: [u8; 2] = [0xe0, 0];

fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("a short text");
    [&length.to_be_bytes(), text.as_bytes()].concat()
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut rest = body.len();
    while rest > 0x7f {
        bytes.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes.extend(body);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_read_however_they_are_cut() {
        let sent = [
            publish("fleet/v1/edge/e1/want", Some(7), false, &[b'x'; 300]),
            puback(258).to_vec(),
            publish("a", None, true, b"y"),
        ]
        .concat();
        for step in 1..=sent.len() {
            let (mut reader, mut got) = (Reader::default(), Vec::new());
            for part in sent.chunks(step) {
                reader.feed(part, |packet| {
                    let publish = packet.publish().map(|it| (it.pkid, it.topic.to_owned(), it.payload.len()));
                    got.push((packet.first, publish));
                });
            }
            let topic = "fleet/v1/edge/e1/want".to_owned();
            let kept = HEAD_BYTES - 2 - topic.len() - 3;
            let expected =
                [(0x32, Some((7, topic, kept))), (0x40, None), (0x31, Some((0, "a".to_owned(), 1)))];
            assert_eq!(got, expected, "in steps of {step}");
        }
    }
}
