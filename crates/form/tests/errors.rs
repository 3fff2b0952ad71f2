//! Issue 8, errors: no error reaches a person unread. Each is in a table of a test of forms, by its path, or it is said here why it needs none.

use std::path::Path;

use form::Errors;

/// Errors that are in no table, each with why.
const EXCEPTIONS: &[(&str, &[&str])] = &[
    (
        "all of its words are given by those that make it, which are sentences of their own",
        &["eve::agents::vaultmgr::hands::crypt::CryptError", "eve::bus::messages::causes::Causes"],
    ),
    (
        "a sum of refusals that are in tables each: the test of refusals goes through the sum",
        &["evc::service::refusal::Refusal"],
    ),
];

#[test]
fn every_error_is_in_a_table() {
    let errors = Errors::of(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    let (types, tables) = (errors.types.len(), errors.tables.len());
    assert!(types > 100 && tables > 100, "{types} {tables}");
    let excepted: Vec<&str> = EXCEPTIONS.iter().flat_map(|(_, paths)| *paths).copied().collect();
    assert_eq!(errors.unread(&excepted), [""; 0]);
}

/// The same of sentences that are made where they are told, of no type, in crates whose texts name no command; the two programs hold theirs
/// against their own command lines.
#[test]
fn every_sentence_of_an_error_is_in_form() {
    let none = form::Command::new("a program that nothing names");
    let of = |name| Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name).join("src");
    let all = ["attest", "cli", "disk", "fscrypt", "tpm", "vault", "wire"].into_iter().map(of);
    let wrong: Vec<_> = all.flat_map(|src| form::wrong_sentences(&src, &none, "")).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
