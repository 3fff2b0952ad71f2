//! Stopped anywhere in the end of a generation.

use vault::ids::Generation;
use vault::plan::Note;
use vault::report::State;

use super::*;

/// Invariant 5, TH-6: a removal, through the end of the generation: one of the two is in force, whole, and in the end the next alone.
#[test]
fn th6_the_end_of_a_generation_is_mended() {
    let steps = stopped_everywhere(
        || {
            let (node, controller) = with_file(&Line::of(Custody::Tpm));
            node.put(IMAGE_VAULT, "file", "kept");
            node.disk.sync();
            (node, controller)
        },
        |node, controller| node.hear(controller, &[]),
        |node, controller, when| {
            assert_eq!(node.get(IMAGE_VAULT, "file").as_deref(), Some("kept"), "{when}");
            node.hear(controller, &[]);
            let status = node.status(BERLIN);
            assert_eq!(status.state, State::Removed, "{when}: {status:?}");
            assert_eq!(status.detail[0], Note::Erased.to_string(), "{when}: {:?}", node.manager().notes());
            let generations: Vec<_> = node.nv.0.borrow().slots.iter().map(|slots| slots.generation).collect();
            assert_eq!(generations, [Generation(2)], "{when}");
            assert!(node.paths.table(Generation::FIRST).iter().all(|path| !path.exists()), "{when}");
            node.reboot();
            assert_eq!(node.get(IMAGE_VAULT, "file").as_deref(), Some("kept"), "{when}");
        },
    );
    assert!(steps > 40, "{steps}");
}
