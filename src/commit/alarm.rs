//! Threads that everything needs, and the alarm that one of them is dead: without it nothing would be issued, or told, any more,
//! so the process ends.

use std::io;
use std::thread::{self, JoinHandle};

use tokio::sync::watch;

/// The alarm; clones are the same one.
#[derive(Clone, Debug)]
pub struct Alarm(watch::Sender<Option<&'static str>>);

/// Rings when it is dropped by a panic.
struct Bell {
    thread: &'static str,
    alarm: Alarm,
}

impl Default for Alarm {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Alarm {
    /// Runs `work` in a thread of that name; a panic in it rings.
    ///
    /// # Errors
    /// When there can be no more threads.
    pub(super) fn spawn(&self, thread: &'static str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
        let bell = Bell { thread, alarm: self.clone() };
        thread::Builder::new().name(thread.to_owned()).spawn(move || {
            let _bell = bell;
            work();
        })
    }

    /// True once a thread is dead.
    pub fn rang(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Waits until a thread is dead, and names it.
    pub async fn heard(&self) -> &'static str {
        let mut rang = self.0.subscribe();
        // Never closed: this is a sender too.
        let thread = rang.wait_for(Option::is_some).await.map(|thread| *thread);
        thread.ok().flatten().unwrap_or_default()
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        if thread::panicking() {
            self.alarm.0.send_replace(Some(self.thread));
        }
    }
}
