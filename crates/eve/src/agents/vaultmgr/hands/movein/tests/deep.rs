//! Folders that nest as deep as may be, and one deeper: users decide that, and neither the stack of who goes through them nor the descriptors of the
//! whole process run out by it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use vault::plan::StepKind;

use super::*;
use crate::agents::vaultmgr::hands::tree::{BetweenPieces, DEEPEST};
use crate::agents::vaultmgr::vault::jobs::{Job, Outcome, Taken, Threads, Workers};

/// Most descriptors of this process at once that lead below a folder.
#[derive(Debug)]
struct Counting {
    below: PathBuf,
    most: AtomicUsize,
}

impl BetweenPieces for Counting {
    fn pieces(&self, _: StepKind, _: &Work) {
        let all = fs::read_dir("/proc/self/fd").expect("lists").flatten();
        let lead = all.filter(|fd| fs::read_link(fd.path()).is_ok_and(|to| to.starts_with(&self.below)));
        self.most.fetch_max(lead.count(), Relaxed);
    }
}

/// A tree with a file so many folders deep, and the path of that in it.
fn nested(depth: usize) -> (Tree, PathBuf) {
    let (tree, deep) = (Tree::new(), (0..depth).fold(PathBuf::new(), |path, _| path.join("d")));
    fs::create_dir_all(tree.places.place.join(&deep)).expect("makes");
    let file = deep.join("file");
    fs::write(tree.places.place.join(&file), "kept").expect("writes");
    (tree, file)
}

fn counting(tree: &Tree) -> Arc<Counting> {
    Arc::new(Counting { below: tree.dir.path().to_owned(), most: AtomicUsize::new(0) })
}

/// As vaultmgr does it: on a thread for long work.
fn done(job: Job, between: &Arc<Counting>) -> Outcome {
    let between: Arc<dyn BetweenPieces> = Arc::<Counting>::clone(between);
    match Threads(between).take(StepKind::MoveIn, job) {
        Taken::Over(outcome) => outcome,
        Taken::UnderWay(_, thread) => thread.join().expect("no panic"),
    }
}

/// DF-5: moved in, looked at again and wiped, with two descriptors for each level.
#[test]
fn df5_the_deepest_tree_that_may_be_is_moved_in() {
    let (tree, file) = nested(DEEPEST);
    let between = counting(&tree);
    done(Job::MoveIn(tree.places.clone()), &between).expect("moves in");
    let most = between.most.load(Relaxed);
    assert!((DEEPEST..2 * DEEPEST + 16).contains(&most), "{most} descriptors");
    done(Job::Settle { places: tree.places.clone(), open: true }, &between).expect("settles");
    assert_eq!(fs::read_to_string(tree.places.place.join(file)).expect("there"), "kept");
    assert!(tree.is_clean());
}

/// One deeper is refused before anything is copied, with its place and what to do, and all is where it was.
#[test]
fn a_deeper_tree_is_told_and_stays() {
    let (tree, file) = nested(DEEPEST + 1);
    let refused = done(Job::MoveIn(tree.places.clone()), &counting(&tree)).expect_err("refused");
    assert!(words(&refused).contains("nest too deep; move the inner ones elsewhere"), "{refused}");
    assert_eq!(fs::read_to_string(tree.places.place.join(file)).expect("there"), "kept");
    assert!(tree.file().exists() && !tree.places.staging.exists());
}
