//! What can't be undone is said twice: once as the request's path says it, and again by the name or the UUID of what that turned out to be.
//! It is asked for here, and not by the command line: so it holds for whoever calls.

use uuid::Uuid;
use vault::ids::Name;

use crate::service::{InTheWay, Irrevocable, Refusal};

/// Whether what was said again means what was found. The path may have named it otherwise: both of its names count.
pub(super) fn is_meant(said: Option<&str>, name: &Name, id: Uuid) -> bool {
    said.is_some_and(|said| said == name.as_str() || said.parse() == Ok(id))
}

/// Goes on only if it was said twice.
///
/// # Errors
/// [`InTheWay::NotConfirmed`].
pub(super) fn confirmed(
    said: Option<&str>,
    (name, id): (&Name, Uuid),
    act: impl FnOnce() -> Irrevocable,
) -> Result<(), Refusal> {
    if is_meant(said, name, id) {
        return Ok(());
    }
    Err(InTheWay::NotConfirmed { name: name.clone(), act: act() }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A vault may be called by the UUID of another one: its own two names count, and nothing else.
    #[test]
    fn a_thing_is_meant_by_its_own_names_alone() {
        let [id, other] = [7, 8].map(Uuid::from_u128);
        let named = |text: &str| text.parse::<Name>().expect("a name");
        for (said, name, is) in [
            (Some("till".to_owned()), named("till"), true),
            (Some(id.to_string()), named("till"), true),
            (Some(id.to_string().to_uppercase()), named("till"), true),
            (Some(other.to_string()), named(&other.to_string()), true),
            (Some(other.to_string()), named("till"), false),
            (Some("Till".to_owned()), named("till"), false),
            (Some(String::new()), named("till"), false),
            (None, named("till"), false),
        ] {
            assert_eq!(is_meant(said.as_deref(), &name, id), is, "{said:?} of {name}");
        }
    }
}
