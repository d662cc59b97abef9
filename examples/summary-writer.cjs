const { readEvents, SummaryWriter } = require("tracelet");

async function main() {
  const writer = new SummaryWriter("runs/from-node");
  for (let step = 0; step < 10; step++) {
    writer.addScalar("loss", 1 / (step + 1), step);
    writer.addHistogram("weights", [Math.sin(step), Math.cos(step), 0.5], step);
  }
  writer.addText("notes", "# It **learns**");
  writer.addImage("ramp", { width: 4, height: 1, channels: 1, data: [0, 85, 170, 255] });
  writer.addHparams({ lr: 0.1, optimizer: "sgd" }, { "final/loss": 0.1 });
  writer.close();

  for await (const value of readEvents("runs/from-node")) console.log(value.run, value.kind, value.tag, value.step);
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
