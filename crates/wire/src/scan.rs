//! Reads the skeleton of a protocol buffer: which fields, how often, where their bytes lie.
//! Decoders of protocol buffers take the last of two equal fields or mix them; two readers of one signed message must never
//! disagree, so here a field that occurs once at most is refused when it is there twice. And each item of a list takes a hundred
//! times the two bytes that it may be written in, so items are counted here, before any of them is made.

use crate::error::DecodeError;
use crate::limits::at_most;

/// What may occur how often in one message. Written by `build.rs` from the descriptors.
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    pub(crate) single: &'static [u32],
    pub(crate) repeated: &'static [u32],
    pub(crate) oneofs: &'static [&'static [u32]],
    pub(crate) inner: &'static [(u32, usize)],
}

include!(concat!(env!("OUT_DIR"), "/shapes.rs"));

/// Most items of one list; each list has a lower bound of its own, which its decoder holds it to.
pub(crate) const MAX_ITEMS: usize = 4096;
/// Most items of all lists of a message: the longest report has half of it.
pub(crate) const MAX_ALL_ITEMS: usize = 1 << 18;

/// One field: its number, and its bytes if it is length-delimited.
pub(crate) struct Field<'a> {
    pub(crate) number: u32,
    pub(crate) bytes: Option<&'a [u8]>,
}

/// Checks `bytes` against the shape of the message named `full_name`, with all messages inside.
pub(crate) fn check(message: &'static str, full_name: &str, bytes: &[u8]) -> Result<(), DecodeError> {
    let shape = SHAPES.iter().find(|shape| shape.name == full_name);
    match shape {
        Some(shape) => Check { message, items: 0 }.shape(shape, bytes),
        None => Err(DecodeError::Broken { message, why: "unknown message" }),
    }
}

/// One message, with the items of its lists so far.
struct Check {
    message: &'static str,
    items: usize,
}

impl Check {
    fn shape(&mut self, shape: &Shape, bytes: &[u8]) -> Result<(), DecodeError> {
        let mut seen: Vec<u32> = Vec::new();
        let mut lists = vec![0; shape.repeated.len()];
        for field in fields(self.message, bytes) {
            let Field { number, bytes } = field?;
            if shape.single.contains(&number) {
                self.once(shape, &mut seen, number)?;
            }
            if let Some(list) = shape.repeated.iter().position(|field| *field == number) {
                lists[list] += 1;
                self.items += 1;
                at_most(self.message, lists[list], MAX_ITEMS)?;
                at_most(self.message, self.items, MAX_ALL_ITEMS)?;
            }
            let inner = shape.inner.iter().find(|(field, _)| *field == number);
            if let (Some((_, place)), Some(bytes)) = (inner, bytes) {
                self.shape(&SHAPES[*place], bytes)?;
            }
        }
        Ok(())
    }

    fn once(&self, shape: &Shape, seen: &mut Vec<u32>, number: u32) -> Result<(), DecodeError> {
        let choice = shape.oneofs.iter().find(|oneof| oneof.contains(&number));
        let taken = |other: &u32| *other == number || choice.is_some_and(|c| c.contains(other));
        if seen.iter().any(taken) {
            return Err(DecodeError::Twice { message: self.message, field: number });
        }
        seen.push(number);
        Ok(())
    }
}

/// The bytes of the length-delimited field `number` of a message that [`check`] passed; the first, if there are many.
pub(crate) fn find<'a>(
    message: &'static str,
    bytes: &'a [u8],
    number: u32,
) -> Result<Option<&'a [u8]>, DecodeError> {
    for field in fields(message, bytes) {
        let field = field?;
        if field.number == number {
            return Ok(field.bytes);
        }
    }
    Ok(None)
}

/// All fields of a message, in order, until the first that is broken.
pub(crate) fn fields<'a>(
    message: &'static str,
    mut rest: &'a [u8],
) -> impl Iterator<Item = Result<Field<'a>, DecodeError>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field =
            next(&mut rest).ok_or(DecodeError::Broken { message, why: "cut short or no such wire type" });
        if field.is_err() {
            rest = &[];
        }
        Some(field)
    })
}

/// Takes one field off the front. Groups (wire types 3, 4) are in no message of ours and are refused.
fn next<'a>(rest: &mut &'a [u8]) -> Option<Field<'a>> {
    let key = varint(rest)?;
    let number = u32::try_from(key >> 3).ok().filter(|n| (1..1 << 29).contains(n))?;
    let bytes = match key & 7 {
        0 => varint(rest).map(|_| None)?,
        1 => take(rest, 8).map(|_| None)?,
        2 => {
            let length = usize::try_from(varint(rest)?).ok()?;
            Some(take(rest, length)?)
        }
        5 => take(rest, 4).map(|_| None)?,
        _ => return None,
    };
    Some(Field { number, bytes })
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?[0];
        let part = u64::from(byte & 0x7f);
        if shift == 63 && part > 1 {
            return None;
        }
        value |= part << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}
