//! An upstream that answers byte by byte as it is told, then fails as it is told, over a real
//! connection.

use std::{future::pending, io, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// How the bytes of an answer are framed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Framing {
    /// HTTP/1.1, a chunk for each piece.
    Chunked,
    /// HTTP/1.1 with a length that is so many bytes more than the truth, or fewer.
    Length(isize),
    /// HTTP/1.1 with `connection: close`: the end of the connection is the end of the body.
    UntilClose,
    /// HTTP/2, a DATA frame for each piece.
    Http2,
}

/// What happens after the last byte.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    /// The connection is closed in order (FIN).
    Close,
    /// The connection is reset (RST).
    Reset,
    /// Nothing more comes, and the connection stays.
    Stall,
    /// A chunk has a length that is no number.
    BadChunk,
    /// HTTP/2: `RST_STREAM`, and the connection stays.
    RstStream,
    /// HTTP/2: `GOAWAY` for this stream too, then the connection is closed.
    GoAway,
}

/// An answer as bytes on the wire, and how it ends.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    wire: Vec<u8>,
    version_2: bool,
    /// How many bytes are written at once.
    step: usize,
    fault: Fault,
}

impl Answer {
    /// A success with this body, in pieces of `piece` bytes.
    pub(crate) fn new(framing: Framing, media_type: &str, body: &[u8], piece: usize) -> Self {
        let pieces = body.chunks(piece);
        let version_2 = framing == Framing::Http2;
        let mut wire = if version_2 {
            http2::head(media_type)
        } else {
            let length = body.len().saturating_add_signed(match framing {
                Framing::Length(lie) => lie,
                _ => 0,
            });
            let framing = match framing {
                Framing::Chunked => "transfer-encoding: chunked".to_owned(),
                Framing::UntilClose => "connection: close".to_owned(),
                Framing::Length(_) | Framing::Http2 => format!("content-length: {length}"),
            };
            format!("HTTP/1.1 200 OK\r\ncontent-type: {media_type}\r\n{framing}\r\n\r\n").into()
        };
        for piece in pieces {
            match framing {
                Framing::Chunked => {
                    wire.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                    wire.extend_from_slice(piece);
                    wire.extend_from_slice(b"\r\n");
                }
                Framing::Length(_) | Framing::UntilClose => wire.extend_from_slice(piece),
                Framing::Http2 => wire.extend(http2::data(piece, false)),
            }
        }
        match framing {
            Framing::Chunked => wire.extend_from_slice(b"0\r\n\r\n"),
            Framing::Http2 => wire.extend(http2::data(b"", true)),
            Framing::Length(_) | Framing::UntilClose => {}
        }
        Self { wire, version_2, step: usize::MAX, fault: Fault::Close }
    }

    /// How many bytes there are to cut.
    pub(crate) fn len(&self) -> usize {
        self.wire.len()
    }

    /// Only the first bytes of it, then the fault.
    pub(crate) fn cut(mut self, after: usize, fault: Fault) -> Self {
        self.wire.truncate(after);
        self.fault = fault;
        self
    }

    /// Without the last bytes of it: the fault comes instead of the end.
    pub(crate) fn endless(self, fault: Fault) -> Self {
        let end = if self.version_2 { http2::HEADER } else { "0\r\n\r\n".len() };
        let at = self.len() - end;
        self.cut(at, fault)
    }

    /// So many bytes in each write.
    pub(crate) fn step(mut self, step: usize) -> Self {
        self.step = step;
        self
    }

    /// Answers so whoever asks at the address returned.
    pub(crate) async fn serve(self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (connection, _) = listener.accept().await.unwrap();
                let answer = self.clone();
                // Whoever asked may be gone before the end.
                tokio::spawn(async move { _ = answer.give(connection).await });
            }
        });
        address
    }

    async fn give(self, mut connection: TcpStream) -> io::Result<()> {
        connection.set_nodelay(true)?;
        if self.version_2 {
            http2::read_request(&mut connection).await?;
        } else {
            read_request(&mut connection).await?;
        }
        for piece in self.wire.chunks(self.step) {
            connection.write_all(piece).await?;
        }
        match self.fault {
            Fault::Close => close(connection).await?,
            Fault::Reset => {
                // What has not been read when the reset arrives may be thrown away with it.
                tokio::time::sleep(Duration::from_millis(2)).await;
                connection.set_zero_linger()?;
            }
            Fault::Stall => pending().await,
            Fault::BadChunk => {
                connection.write_all(b"no number\r\n").await?;
                close(connection).await?;
            }
            Fault::RstStream => {
                connection.write_all(&http2::RST_STREAM).await?;
                pending::<()>().await;
            }
            Fault::GoAway => {
                connection.write_all(&http2::GOAWAY).await?;
                close(connection).await?;
            }
        }
        Ok(())
    }
}

/// Closes in order: dropped with something unread in it, a connection is reset.
async fn close(mut connection: TcpStream) -> io::Result<()> {
    connection.shutdown().await?;
    while connection.read(&mut [0; 256]).await? > 0 {}
    Ok(())
}

/// Reads a request with a `content-length`.
async fn read_request(connection: &mut TcpStream) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    connection.read_exact(&mut vec![0; length.parse().unwrap()]).await?;
    Ok(())
}

/// As much of HTTP/2 (RFC 9113) as one answer on the first stream needs.
mod http2 {
    use super::*;

    const PREFACE: usize = 24;
    pub(super) const HEADER: usize = 9;
    const END_STREAM: u8 = 1;
    const DATA: u8 = 0;
    const HEADERS: u8 = 1;

    pub(super) const RST_STREAM: [u8; 13] = [0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 2];
    pub(super) const GOAWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
    }

    /// Settings of ours, a nod to theirs, and the head: status 200 and a literal header (RFC 7541).
    pub(super) fn head(media_type: &str) -> Vec<u8> {
        let literal = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
        let block = [&[0x88, 0][..], &literal("content-type"), &literal(media_type)].concat();
        [frame(4, 0, 0, b""), frame(4, 1, 0, b""), frame(HEADERS, 4, 1, &block)].concat()
    }

    pub(super) fn data(piece: &[u8], last: bool) -> Vec<u8> {
        frame(DATA, if last { END_STREAM } else { 0 }, 1, piece)
    }

    pub(super) async fn read_request(connection: &mut TcpStream) -> io::Result<()> {
        connection.read_exact(&mut [0; PREFACE]).await?;
        loop {
            let mut header = [0; HEADER];
            connection.read_exact(&mut header).await?;
            let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
            connection.read_exact(&mut vec![0; length.try_into().unwrap()]).await?;
            if matches!(header[3], DATA | HEADERS) && header[4] & END_STREAM != 0 {
                return Ok(());
            }
        }
    }
}
