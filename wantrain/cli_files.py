"""`wantrain report` and `wantrain convert`: what reads a run or a LoRA file and trains nothing."""

from __future__ import annotations

from pathlib import Path

import click

from wantrain.exits import exit_codes

CONVERT_EXAMPLES = """
\b
Examples:
  wantrain convert my_high_noise.safetensors --to musubi \\
      --out my_high.musubi.safetensors
  wantrain convert from_musubi.safetensors --to comfyui --out mine.safetensors
  wantrain convert my_high_noise.safetensors --to peft --out my-adapter
"""


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="HTML file. [default: RUN/report.html]")
def report(run: Path, out: Path | None) -> None:
    """Draw a RUN's losses, sigmas, checkpoints and previews into one HTML file that needs no network."""
    with exit_codes():
        from wantrain.report import write_report

        click.echo(write_report(run, out or run / "report.html"))


@click.command(epilog=CONVERT_EXAMPLES)
@click.argument("lora", type=click.Path(path_type=Path))
@click.option("--to", "names", required=True, type=click.Choice(["comfyui", "musubi", "diffusers", "peft"]))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="File; a folder for peft.")
@click.option("--force", is_flag=True, help="Replace what is there.")
def convert(lora: Path, names: str, out: Path, force: bool) -> None:
    """Rename a LoRA's tensors for another program, bit for bit. The names it has now are recognised."""
    with exit_codes():
        from wantrain.convert import convert_file, refuse_to_replace

        refuse_to_replace(out, names, force)
        was = convert_file(lora, out, names)
        click.echo(f"{lora} ({was}) -> {out} ({names})", err=True)
        click.echo(out)
