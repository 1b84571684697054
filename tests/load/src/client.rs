//! A client that costs little: a socket and a reader. Ten thousand of them fit beside the broker that they load.

use std::cell::RefCell;
use std::io::{self, Error, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::wire::{self, Packet, Reader};

/// What no broker on loopback needs to answer.
pub const PATIENCE: Duration = Duration::from_secs(20);

thread_local! {
    /// What a socket holds is read here and looked at before the next is read.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; 256 << 10]);
}

/// A connection that was let in.
pub struct Client {
    stream: TcpStream,
    reader: Reader,
}

impl Client {
    /// Connects and is let in.
    ///
    /// # Errors
    /// The connection, or what the CONNACK says.
    pub async fn connect(address: SocketAddr, id: &str) -> io::Result<Self> {
        Self::resume(address, id, 0).await
    }

    /// The same with a session that outlives the connection by so many seconds, and goes on if there is one.
    ///
    /// # Errors
    /// The connection, or what the CONNACK says.
    pub async fn resume(address: SocketAddr, id: &str, expiry_s: u32) -> io::Result<Self> {
        timeout(PATIENCE, Self::connect_patiently(address, id, expiry_s)).await?
    }

    async fn connect_patiently(address: SocketAddr, id: &str, expiry_s: u32) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut client = Self { stream, reader: Reader::default() };
        client.send(&wire::connect(id, expiry_s)).await?;
        match client.answer(2).await?.get(1) {
            Some(0) => Ok(client),
            code => Err(Error::other(format!("{id} was refused: {code:02x?}"))),
        }
    }

    /// Subscribes to one filter, and is granted it.
    ///
    /// # Errors
    /// The connection, or what the SUBACK says.
    pub async fn subscribe(&mut self, filter: &str, qos: u8) -> io::Result<()> {
        self.send(&wire::subscribe(1, filter, qos)).await?;
        match timeout(PATIENCE, self.answer(9)).await??.last() {
            Some(granted) if *granted == qos => Ok(()),
            code => Err(Error::other(format!("{filter} was refused: {code:02x?}"))),
        }
    }

    /// Waits for a packet of one type, and returns its head. What comes before it is not looked at.
    pub async fn answer(&mut self, kind: u8) -> io::Result<Vec<u8>> {
        let mut answer = None;
        while answer.is_none() {
            self.read(|packet| {
                if packet.kind() == kind {
                    answer = Some(packet.head.to_vec());
                }
            })
            .await?;
        }
        Ok(answer.unwrap_or_default())
    }

    /// Writes packets.
    ///
    /// # Errors
    /// The connection.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Waits for bytes, and shows each packet that is whole with them.
    ///
    /// # Errors
    /// The connection, also when it was closed: with the reason if a DISCONNECT gave one.
    pub async fn read(&mut self, mut each: impl FnMut(Packet<'_>)) -> io::Result<()> {
        let mut farewell = None;
        loop {
            self.stream.readable().await?;
            let read: io::Result<usize> = SCRATCH.with_borrow_mut(|scratch| {
                let bytes = self.stream.try_read(scratch)?;
                self.reader.feed(&scratch[..bytes], |packet| match packet.kind() {
                    14 => farewell = Some(packet.head.first().copied().unwrap_or(0)),
                    _ => each(packet),
                });
                Ok(bytes)
            });
            return match (read, farewell) {
                (Err(error), _) if matches!(error.kind(), ErrorKind::WouldBlock) => continue,
                (Err(error), _) => Err(error),
                (_, Some(reason)) => Err(Error::other(format!("the broker disconnected: {reason:#04x}"))),
                (Ok(0), None) => Err(ErrorKind::UnexpectedEof.into()),
                (Ok(_), None) => Ok(()),
            };
        }
    }

    /// Reads once, acknowledges what was delivered at QoS 1, and returns how many messages it was.
    ///
    /// # Errors
    /// The connection.
    pub async fn take(&mut self) -> io::Result<usize> {
        let (mut taken, mut acks) = (0, Vec::new());
        self.read(|packet| {
            if let Some(publish) = packet.publish() {
                taken += 1;
                if publish.pkid > 0 {
                    acks.extend(wire::puback(publish.pkid));
                }
            }
        })
        .await?;
        if !acks.is_empty() {
            self.send(&acks).await?;
        }
        Ok(taken)
    }

    /// Ends the connection with a RST.
    pub fn reset(self) {
        let _ = self.stream.set_zero_linger();
    }
}
