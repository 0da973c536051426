using CaptionService.Captioning;
using CaptionService.Captioning.Training;
using CaptionService.Trainer;
TorchRuntime.Configure();
var d = Dataset.Load(new DatasetPaths("images","captions.en.token.txt","train.txt","dev.txt"), args[0]);
var p = new Progress(Console.Out, false);
var enc = Path.Combine(AppContext.BaseDirectory, "DefaultModels", "vgg16", "encoder.safetensors");
using (var a = FeatureCache.Open(args[1], d.Train, enc, false, p, default)) {}
using (var a = FeatureCache.Open(args[1], d.Dev, enc, false, p, default)) {}
using (var a = FeatureCache.Open(args[1], d.Train, enc, true, p, default)) {}
