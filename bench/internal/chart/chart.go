// Package chart draws what publishing costs against the number of
// subscriptions.
package chart

import (
	"fmt"
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/harkbus/pubsub/bench/internal/bars"
)

var (
	harkColor  = color.RGBA{R: 0x0b, G: 0x72, B: 0x85, A: 0xff}
	cometColor = color.RGBA{R: 0xd9, G: 0x48, B: 0x0f, A: 0xff}
)

// Save writes the curve, both axes logarithmic, to a file; its name's ending
// says in which format.
func Save(curve []bars.Point, file string) error {
	plot.DefaultFont.Variant = "Sans"
	p := plot.New()
	p.Title.Text = "Publish and receive, one match among N subscriptions"
	p.X.Label.Text, p.Y.Label.Text = "subscriptions with queries of their own", "one publication"
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker, p.Y.Tick.Marker = ticks(count), ticks(duration)
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.XOffs, p.Legend.YOffs = 3*vg.Millimeter, -14*vg.Millimeter
	p.Legend.Padding = vg.Millimeter
	p.Add(plotter.NewGrid())
	for _, line := range []struct {
		name  string
		cost  func(bars.Point) float64
		color color.Color
	}{
		{"CometBFT v1.0.1", func(p bars.Point) float64 { return p.CometBFT }, cometColor},
		{"Hark", func(p bars.Point) float64 { return p.Hark }, harkColor},
	} {
		if err := add(p, line.name, points(curve, line.cost), line.color); err != nil {
			return fmt.Errorf("chart: %w", err)
		}
	}
	p.Y.Min, p.Y.Max = 100, max(p.Y.Max, 1e9)
	return p.Save(16*vg.Centimeter, 10*vg.Centimeter, file)
}

func points(curve []bars.Point, cost func(bars.Point) float64) (all plotter.XYs) {
	for _, p := range curve {
		if y := cost(p); y > 0 {
			all = append(all, plotter.XY{X: float64(p.Queries), Y: y})
		}
	}
	return all
}

func add(p *plot.Plot, name string, xys plotter.XYs, c color.Color) error {
	line, dots, err := plotter.NewLinePoints(xys)
	if err != nil {
		return err
	}
	line.Color, line.Width = c, vg.Points(2)
	dots.Color, dots.Shape = c, draw.CircleGlyph{}
	p.Add(line, dots)
	p.Legend.Add(name, line, dots)
	return nil
}

// ticks marks the powers of ten and writes them in some way.
type ticks func(v float64) string

// Ticks returns the marks from low to high.
func (t ticks) Ticks(low, high float64) []plot.Tick {
	all := plot.LogTicks{Prec: -1}.Ticks(low, high)
	for i := range all {
		if !all[i].IsMinor() {
			all[i].Label = t(all[i].Value)
		}
	}
	return all
}

func count(v float64) string { return bars.Figure(v) }

func duration(v float64) string { return bars.Nanoseconds(v) }
