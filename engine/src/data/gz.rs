//! Unpacking gzip without trusting it: no more comes out than was announced, and no more may be announced than real
//! images pack to: 16 MiB and [`RATIO`] times the packed length. (gzip itself can reach 1032 times.)

use crate::{Error, Result};
use flate2::read::MultiGzDecoder;
use std::io::{ErrorKind, Read};
use std::path::Path;

const CURE: &str = "the file is damaged or cut off; copy or download it again";
const RATIO: u64 = 256;

/// Most bytes that so many packed bytes may unpack to.
pub fn limit(packed: usize) -> u64 {
    (16 << 20) + RATIO * packed as u64
}

/// Whether bytes start like a gzip file.
pub fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// Unpacks what `length` announces after looking at the first `head` unpacked bytes: exactly that many bytes, else an
/// error. Memory grows with what really comes out, so a bomb is stopped at the announced length.
///
/// # Errors
/// [`Error::Corrupt`] for a damaged stream, or one that holds fewer or more bytes than announced, and whatever `length`
/// returns.
pub fn unpack(
    packed: &[u8],
    file: &Path,
    head: usize,
    length: impl FnOnce(&[u8]) -> Result<u64>,
) -> Result<Vec<u8>> {
    let mut stream = MultiGzDecoder::new(packed);
    let mut out = Vec::new();
    take(&mut stream, head as u64, &mut out, file)?;
    let announced = length(&out)?;
    if announced > limit(packed.len()) {
        let problem =
            format!("{} bytes announce {announced} unpacked bytes, more than images need", packed.len());
        return Err(Error::corrupt(
            file,
            "gzip data",
            problem,
            "unpack it with gunzip, and look at what comes out",
        ));
    }
    // One byte more than announced is enough to know that there are too many.
    take(&mut stream, (announced + 1).saturating_sub(out.len() as u64), &mut out, file)?;
    if out.len() as u64 == announced {
        return Ok(out);
    }
    let more = if out.len() as u64 > announced { "more".to_string() } else { format!("only {}", out.len()) };
    let problem = format!("announces {announced} unpacked bytes, but {more} come out");
    Err(Error::corrupt(file, "gzip data", problem, CURE))
}

fn take(stream: &mut impl Read, limit: u64, out: &mut Vec<u8>, file: &Path) -> Result<()> {
    stream.take(limit).read_to_end(out).map(drop).map_err(|e| damaged(file, out.len(), &e))
}

/// The error for a stream that breaks after `done` unpacked bytes.
pub fn damaged(file: &Path, done: usize, error: &std::io::Error) -> Error {
    let problem = match error.kind() {
        ErrorKind::UnexpectedEof => "the gzip data end too early".to_string(),
        _ => format!("the gzip data are damaged: {error}"),
    };
    Error::corrupt(file, format!("after {done} unpacked bytes"), problem, CURE)
}

/// gzip bytes, the same for the same content: no time, no name.
pub fn pack(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut packer = flate2::GzBuilder::new().mtime(0).write(Vec::new(), flate2::Compression::best());
    packer
        .write_all(bytes)
        .and_then(|()| packer.finish())
        .unwrap_or_else(|e| unreachable!("writing to memory cannot fail: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(packed: &[u8], announced: u64) -> Result<Vec<u8>> {
        unpack(packed, Path::new("x.gz"), 4, |_| Ok(announced))
    }

    #[test]
    fn exactly_the_announced_bytes_come_out() {
        let packed = pack(b"0123456789");
        assert_eq!(check(&packed, 10).unwrap(), b"0123456789");
        for (announced, want) in [(9, "announces 9 unpacked bytes, but more come"), (11, "but only 10 come")]
        {
            let error = check(&packed, announced).unwrap_err();
            assert!(error.to_string().contains(want), "{error}");
            assert_eq!(error.exit_code(), 4);
        }
    }

    #[test]
    fn a_bomb_is_stopped_at_the_announced_length() {
        let bomb = pack(&vec![0; 50_000_000]);
        assert!(bomb.len() < 60_000);
        assert!(check(&bomb, 100).unwrap_err().to_string().contains("more come out"));
        let honest = check(&bomb, 50_000_000).unwrap_err().to_string();
        assert!(honest.contains("announce 50000000 unpacked bytes, more than images need"), "{honest}");
    }

    #[test]
    fn damage_is_found() {
        let packed = pack(&(0..=255).collect::<Vec<u8>>());
        for cut in [0, 5, 12, packed.len() - 9, packed.len() - 1] {
            assert_eq!(check(&packed[..cut], 256).unwrap_err().exit_code(), 4, "{cut}");
        }
        let mut wrong_sum = packed.clone();
        wrong_sum[packed.len() - 8] ^= 1;
        assert!(check(&wrong_sum, 256).unwrap_err().to_string().contains("damaged"));
        assert!(check(&[&packed[..], b"junk"].concat(), 256).is_err());
    }
}
