//! A picture of how long payers wait, the more of them there are.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use crate::figure::Figure;
use crate::scenario::RATES;

const SIZE: (u32, u32) = (820, 420);
/// A percentile, in milliseconds, its name and its colour.
type Line = (&'static str, RGBColor, fn(&Figure) -> f64);
const LINES: [Line; 3] = [
    ("p50", RGBColor(0x1b, 0x7f, 0x5c), |figure| figure.p50_ms),
    ("p99", RGBColor(0xd9, 0x7b, 0x06), |figure| figure.p99_ms),
    ("p99.9", RGBColor(0xb4, 0x23, 0x18), |figure| figure.p999_ms),
];

/// Draws it as SVG; nothing if no rate was measured.
///
/// # Errors
/// When it cannot be drawn or written.
pub fn latency_against_load(file: &Path, medians: &[Figure]) -> Result<()> {
    let rates = RATES.iter().filter_map(|(name, rate)| Some((rate / 1e3, medians.iter().find(|f| f.name == *name)?)));
    let points: Vec<(f64, &Figure)> = rates.collect();
    if points.is_empty() {
        return Ok(());
    }
    draw(file, &points).map_err(|error| anyhow!("cannot draw {}: {error}", file.display()))
}

fn draw(file: &Path, points: &[(f64, &Figure)]) -> Result<(), Box<dyn std::error::Error>> {
    let highest = points.iter().map(|(_, figure)| figure.p999_ms).fold(1.0, f64::max) * 1.5;
    let widest = points.iter().map(|(rate, _)| *rate).fold(1.0, f64::max) * 1.05;
    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption("How long a paid request takes, open loop", ("sans-serif", 17))
        .margin(14)
        .x_label_area_size(40)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..widest, (0.2..highest).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("thousand requests a second")
        .y_desc("milliseconds, from when it was due")
        .light_line_style(WHITE)
        .draw()?;
    for (name, colour, of) in LINES {
        let line = points.iter().map(|(rate, figure)| (*rate, of(figure)));
        chart
            .draw_series(LineSeries::new(line.clone(), colour.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        chart.draw_series(line.map(|point| Circle::new(point, 3, colour.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .border_style(RGBColor(0xcc, 0xcc, 0xcc))
        .draw()?;
    root.present()?;
    Ok(())
}
