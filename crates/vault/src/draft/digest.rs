//! What takes a number: a digest over what a node acts on. Not over sealed bytes, which differ from session to session.

use aws_lc_rs::digest::{Context, SHA256};

use super::{Draft, DraftDigest};
use crate::decide::Ruling;
use crate::ids::VaultId;

/// Over entries, the epochs that go out, what is removed, the question for leases, and orders beside all that.
pub(super) fn of_section(draft: &Draft) -> DraftDigest {
    let mut context = Context::new(&SHA256);
    for line in &draft.lines {
        let text = serde_json::to_vec(&line.entry).expect("an entry has no map with keys that are not text");
        context.update(&(text.len() as u64).to_be_bytes());
        context.update(&text);
        if let Ruling::Release(granted) = &line.decision.ruling {
            context.update(&granted.epochs().current().0.to_be_bytes());
            context.update(&granted.epochs().last().0.to_be_bytes());
        }
    }
    draft.removed.iter().for_each(|id| context.update(id.0.as_bytes()));
    draft.lease.iter().for_each(|nonce| context.update(&nonce.0));
    if !draft.orders.is_empty() {
        count_orders(&mut context, &draft.orders);
    }
    finished(context)
}

/// Unlike that of any section: so orders, and the section after them, each take a number.
pub(super) fn of_orders(orders: &[VaultId]) -> DraftDigest {
    let mut context = Context::new(&SHA256);
    count_orders(&mut context, orders);
    finished(context)
}

fn count_orders(context: &mut Context, orders: &[VaultId]) {
    context.update(b"orders to lock");
    orders.iter().for_each(|id| context.update(id.0.as_bytes()));
}

fn finished(context: Context) -> DraftDigest {
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}
