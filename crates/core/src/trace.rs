//! Where in a trace something happens, as it goes from one process to another.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The `tracing` target of spans that are traced and not logged. Nothing else has it, so that switching
/// traces off switches off each of them.
///
/// A span with this target has no attribute that a client chose: no path, query, header or body. Its level
/// tells where it may stand: a trace begins with a span of level INFO, and those of level DEBUG are parts of
/// others, so that what is done in the background without an end makes no traces of one span each.
pub const TARGET: &str = "bailey_trace";

/// The text is no `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid traceparent")]
pub struct InvalidTraceContext;

/// A span as its children elsewhere know it: W3C Trace Context, `traceparent`, version 00.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceContext {
    /// The trace; not all zero.
    pub trace: u128,
    /// The span; not zero.
    pub span: u64,
    /// Bit 0: whether the span is recorded.
    pub flags: u8,
}

impl FromStr for TraceContext {
    type Err = InvalidTraceContext;

    /// Of a later version it reads what version 00 has (section 4.3 of the recommendation).
    fn from_str(text: &str) -> Result<Self, InvalidTraceContext> {
        let mut parts = text.splitn(5, '-');
        let mut next = |digits| parts.next().and_then(|part| hex(part, digits)).ok_or(InvalidTraceContext);
        let (version, trace, span, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
        let is_version_right = version != 0xff && (version != 0 || parts.next().is_none());
        if !is_version_right || trace == 0 || span == 0 {
            return Err(InvalidTraceContext);
        }
        let narrow = |_| InvalidTraceContext;
        Ok(Self { trace, span: span.try_into().map_err(narrow)?, flags: flags.try_into().map_err(narrow)? })
    }
}

/// A number of exactly so many lower-case hexadecimal digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_hex.then(|| u128::from_str_radix(text, 16).ok())?
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, self.flags)
    }
}

impl TryFrom<String> for TraceContext {
    type Error = InvalidTraceContext;

    fn try_from(text: String) -> Result<Self, InvalidTraceContext> {
        text.parse()
    }
}

impl From<TraceContext> for String {
    fn from(context: TraceContext) -> Self {
        context.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_example_of_the_recommendation_is_read_and_written() {
        let read = EXAMPLE.parse::<TraceContext>();
        let expected =
            TraceContext { trace: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, span: 0x00f0_67aa_0ba9_02b7, flags: 1 };
        assert_eq!(read, Ok(expected));
        assert_eq!(expected.to_string(), EXAMPLE);
    }

    #[test]
    fn a_later_version_may_say_more() {
        let later = format!("01{}-what-ever", &EXAMPLE[2..]);
        assert_eq!(later.parse::<TraceContext>().map(|read| read.to_string()).as_deref(), Ok(EXAMPLE));
    }

    #[test]
    fn what_is_no_traceparent_is_refused() {
        for text in [
            String::new(),
            "00".to_owned(),
            EXAMPLE.to_uppercase(),
            format!("{EXAMPLE}-00"),
            format!("{EXAMPLE} "),
            format!("ff{}", &EXAMPLE[2..]),
            EXAMPLE.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            EXAMPLE.replace("00f067aa0ba902b7", &"0".repeat(16)),
            EXAMPLE.replace("-01", "-+1"),
            EXAMPLE.replace("00f0", "0f0"),
            EXAMPLE.replace("00f0", "ä0f"),
        ] {
            assert_eq!(text.parse::<TraceContext>(), Err(InvalidTraceContext), "{text}");
        }
    }
}
