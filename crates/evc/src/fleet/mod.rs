//! A device as it stands: its rows read as what they mean, its evidence judged, its section drafted, how long ago it was heard. Devices' and
//! operators' rooms both stand on this one, and it calls neither.

pub mod again;
pub(crate) mod at_stake;
pub(crate) mod bounded;
pub(crate) mod defaults;
pub(crate) mod deleted;
pub mod evidence;
pub(crate) mod fared;
pub mod heard;
pub(crate) mod keys;
pub(crate) mod life;
pub mod lost_here;
pub(crate) mod parts;
pub(crate) mod placed;
pub mod recall;
pub(crate) mod reported;
pub(crate) mod section;
pub mod settled;
pub(crate) mod times;
pub mod verdicts;
pub(crate) mod view;
