//! As much of DER (X.690) as CAs and their keys need beside what libraries write.

/// An element: tag, length, content.
#[must_use]
pub fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut all = vec![tag];
    match u8::try_from(content.len()) {
        Ok(length @ 0..0x80) => all.push(length),
        _ => {
            let length: Vec<u8> = content.len().to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
            all.push(0x80 | u8::try_from(length.len()).unwrap_or_default());
            all.extend(length);
        }
    }
    all.extend_from_slice(content);
    all
}

/// A sequence of elements.
#[must_use]
pub fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tagged(0x30, &parts.concat())
}

/// An element that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element<'a> {
    /// Which sort of element.
    pub tag: u8,
    /// What it contains.
    pub content: &'a [u8],
    /// All of it, with tag and length.
    pub whole: &'a [u8],
}

/// Takes the first element off `bytes`, if there is one. Tags of one byte only: no others come up here.
pub fn take<'a>(bytes: &mut &'a [u8]) -> Option<Element<'a>> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match usize::from(*first) {
        short @ 0..0x80 => (short, rest),
        long => {
            let (digits, rest) =
                rest.split_at_checked(long - 0x80).filter(|(digits, _)| (1..=4).contains(&digits.len()))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
    };
    let (content, rest) = rest.split_at_checked(length)?;
    let (whole, _) = bytes.split_at_checked(bytes.len() - rest.len())?;
    *bytes = rest;
    Some(Element { tag: *tag, content, whole })
}

/// Takes the first element, if it has this tag.
pub fn take_tagged<'a>(bytes: &mut &'a [u8], tag: u8) -> Option<Element<'a>> {
    let mut rest = *bytes;
    let element = take(&mut rest).filter(|element| element.tag == tag)?;
    *bytes = rest;
    Some(element)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_as_short_as_can_be_and_read_again() {
        for (length, header) in [
            (0, &[4, 0][..]),
            (127, &[4, 127]),
            (128, &[4, 0x81, 128]),
            (255, &[4, 0x81, 255]),
            (256, &[4, 0x82, 1, 0]),
            (65_536, &[4, 0x83, 1, 0, 0]),
        ] {
            let content = vec![7; length];
            let all = tagged(4, &content);
            assert_eq!(&all[..header.len()], header);
            let mut rest = all.as_slice();
            assert_eq!(take(&mut rest), Some(Element { tag: 4, content: &content, whole: &all }));
            assert!(rest.is_empty());
        }
    }

    #[test]
    fn what_is_cut_short_is_nothing() {
        for bytes in [&[][..], &[4], &[4, 1], &[4, 0x81], &[4, 0x80], &[4, 0x82, 1, 0], &[4, 0x85, 0, 0, 0, 0, 1, 9]] {
            let mut rest = bytes;
            assert_eq!((take(&mut rest), rest), (None, bytes));
        }
        assert_eq!(take_tagged(&mut &[4, 0][..], 5), None);
    }
}
