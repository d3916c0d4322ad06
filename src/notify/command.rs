//! A command: the notice is one line of JSON on its standard input. No shell, and nothing of this process's environment: a plain
//! `PATH` alone.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::Trouble;

pub(super) async fn run(argv: &[String], body: &[u8], limit: Duration) -> Result<(), Trouble> {
    let Some((program, arguments)) = argv.split_first() else { return Err(Trouble::ForGood("it is empty".to_owned())) };
    let mut command = Command::new(program);
    command.args(arguments).current_dir("/").env_clear().stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin").process_group(0).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| Trouble::ForGood(format!("it cannot be started: {error}")))?;
    let group = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw);
    let mut line = body.to_vec();
    line.push(b'\n');
    let told = async {
        if let Some(mut input) = child.stdin.take() {
            // One that does not read may still end well.
            let _ = input.write_all(&line).await;
        }
        child.wait().await
    };
    match tokio::time::timeout(limit, told).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(Trouble::ForNow(status.to_string())),
        Ok(Err(error)) => Err(Trouble::ForNow(error.to_string())),
        Err(_) => {
            if let Some(group) = group {
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            }
            Err(Trouble::ForNow(format!("it did not end within {} s", limit.as_secs())))
        }
    }
}
