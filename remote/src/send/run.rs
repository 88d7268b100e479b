//! What one remote does: it sends samples, and beside them what is known of metrics.

use super::cursor::Cursor;
use super::encode::Protocol;
use super::metadata;
use super::remote::Remote;

impl Remote {
    /// Sends until it is stopped, or until it has sent all there is once it drains.
    pub(super) async fn run(self, cursor: Cursor) {
        let samples = async {
            // The only error is `Stopped`: the remote was told to end.
            self.samples(cursor).await.ok();
        };
        if self.config.metadata_config.send && self.protocol == Protocol::V1 {
            tokio::select! {
                () = samples => {}
                () = metadata::run(&self) => {}
            }
        } else {
            samples.await;
        }
    }
}
