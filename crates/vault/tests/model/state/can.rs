//! What can happen next, within what is left of each bound.

use super::{Action, Budget, MOST_ANSWERS, MOST_LIVES, PARTS, State};
use vault::policy::Door;
use vault::section::Custody;

impl State {
    pub(super) fn on_the_way(&self) -> Vec<Action> {
        let Budget { losses, repeats, reorders, polls, moves_out, forgets, .. } = self.left;
        let mut all = Vec::new();
        if let Some(request) = &self.request {
            all.push(Action::Hear);
            all.extend((repeats > 0 && !request.heard).then_some(Action::HearAgain));
            all.extend((losses > 0).then_some(Action::LoseRequest));
            all.extend((polls > 0 && self.old.is_none()).then_some(Action::KeepRequest));
        } else if self.answers.len() < MOST_ANSWERS {
            all.push(Action::Ask);
        }
        all.extend((polls > 0 && self.old.is_some()).then_some(Action::SendAgain));
        let still = self.request.is_none() && self.answers.is_empty();
        all.extend((moves_out > 0 && still).then_some(Action::MovesOut));
        all.extend((forgets > 0 && still).then_some(Action::Forgets));
        for nth in 0..self.answers.len() {
            all.extend((nth == 0 || reorders > 0).then_some(Action::Answer(nth)));
            all.extend((repeats > 0).then_some(Action::AnswerAgain(nth)));
            all.extend((losses > 0).then_some(Action::LoseAnswer(nth)));
        }
        all
    }

    pub(super) fn at_the_node(&self) -> Vec<Action> {
        let Budget { cuts, unread, unmeasured, images, records, .. } = self.left;
        let lives = self.lives < MOST_LIVES;
        let due = self.node.is_due();
        let mut all = Vec::new();
        all.extend(due.then_some(Action::Step));
        all.extend((!self.node.reads_record()).then_some(Action::RecordOpens));
        if lives && cuts > 0 {
            let cut = |parts| [true, false].map(|booted| Action::Cut { parts, booted });
            let parts = if due { 0..PARTS } else { 0..1 };
            all.extend(parts.flat_map(cut));
        }
        all.extend((lives && unread > 0).then_some(Action::Unread));
        all.extend((lives && records > 0).then_some(Action::LoseRecord));
        all.extend((lives && unmeasured > 0).then_some(Action::Boot { measured: false }));
        all.extend((lives && !self.node.is_measured()).then_some(Action::Boot { measured: true }));
        let quiet = !self.node.between_generations();
        all.extend((images > 0 && self.image.is_none() && quiet).then_some(Action::TakeImage));
        all.extend((lives && images > 0 && self.image.is_some() && quiet).then_some(Action::PutImageBack));
        all
    }

    pub(super) fn at_the_controller(&self, then: Custody) -> Vec<Action> {
        let Budget {
            controller_restarts,
            databases,
            rotations,
            forced,
            deletions,
            retains,
            undos,
            doors,
            losts,
            custodies,
            ..
        } = self.left;
        let flying = self.request.is_some() || !self.answers.is_empty();
        let door = match self.controller.policy.operation {
            Door::Unlock => Door::Lock,
            Door::Lock => Door::Unlock,
        };
        let may = [
            (controller_restarts > 0 && flying, Action::ControllerRestarts),
            (databases > 0 && self.database.is_none(), Action::CopyDatabase),
            (databases > 0 && self.database.is_some(), Action::PutDatabaseBack),
            (self.controller.older.is_some() && self.incarnations < 3, Action::BeginAnew),
            (rotations > 0, Action::Rotate { force: false }),
            (forced > 0, Action::Rotate { force: true }),
            (deletions > 0, Action::Delete),
            (retains > 0, Action::Retain),
            (undos > 0, Action::Undo),
            (true, Action::GraceEnds),
            (doors > 0, Action::Turn(door)),
            (losts > 0, Action::Lost),
            (custodies > 0, Action::Apply(then)),
        ];
        may.into_iter().filter_map(|(may, action)| may.then_some(action)).collect()
    }
}
