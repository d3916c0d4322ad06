//! The banner of a rollback that counts down or is being carried out. It lies over everything.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::{Clear, Widget};

use crate::console::rollback::{Stage, under_way};
use crate::console::words;

use super::{Scene, put};

pub(super) fn draw(buffer: &mut Buffer, body: Rect, scene: Scene<'_>) {
    let Some(going) = under_way(scene.view) else {
        return;
    };
    if body.height < 3 || body.width < 20 {
        return;
    }
    let theme = scene.ui.theme;
    let from = going.from.map_or(String::new(), |from| format!("{} ", words::plain(&from.tag)));
    let way = format!("ROLLING BACK {} {from}{} {}", going.environment, theme.arrow(), words::plain(&going.to.tag));
    let (first, second) = match going.stage {
        Stage::Armed(fires_at) => {
            let left = (fires_at - scene.now).num_milliseconds().max(0);
            let when = if left == 0 { "now".to_owned() } else { format!("in {} s", (left + 999) / 1000) };
            (format!("{way} {when}"), "R or Enter: now    Esc: cancel    it fires by itself, without this terminal".to_owned())
        }
        Stage::Going(progress) => (way, progress.map_or(String::new(), words::plain)),
    };
    // Not over the first jobs, which are what is being taken back.
    let area = Rect::new(body.x, body.y + body.height / 2, body.width, 2);
    Clear.render(area, buffer);
    buffer.set_style(area, theme.banner());
    put(buffer, area, 2, 0, &first, theme.banner());
    put(buffer, area, 2, 1, &second, theme.banner());
}
