using System.CommandLine;
using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Numerics;
using CaptionService.Captioning;
using CaptionService.Trainer.Calibrate;
using CaptionService.Trainer.Evaluate;
using CaptionService.Trainer.Inspect;
using CaptionService.Trainer.Job;
using CaptionService.Trainer.Quantize;
using CaptionService.Trainer.Train;

namespace CaptionService.Trainer;

/// <summary>The program's command line.</summary>
internal static class Verbs
{
    private static readonly Option<bool> s_attached = new("--attached")
    {
        Description = "Also save and stop when standard input closes (a server that started this program is gone).",
    };

    /// <summary>Parses the command line and runs the verb that it names.</summary>
    /// <returns>The exit code.</returns>
    /// <exception cref="ValidationException">The command line is wrong; the message says what, and how it should be.</exception>
    public static int Run(string[] args, Progress progress, CancellationTokenSource stop)
    {
        var root = new RootCommand("Trains and evaluates caption models.") { Train(progress, stop), Evaluate(progress, stop), Calibrate(progress, stop), Quantize(progress, stop), Inspect(progress, stop) };
        var parsed = root.Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null });
        if (parsed.Errors.Count > 0)
        {
            using var help = new StringWriter();
            string[] asked = parsed.CommandResult.Command == root ? ["--help"] : [parsed.CommandResult.Command.Name, "--help"];
            root.Parse(asked).Invoke(new InvocationConfiguration { Output = help });
            throw new ValidationException($"{string.Join('\n', parsed.Errors.Select(error => error.Message))}\n\n{help}");
        }
        return parsed.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
    }

    private static Command Train(Progress progress, CancellationTokenSource stop)
    {
        var folder = new Argument<string>("FOLDER") { Description = "The job's folder." };
        var command = new Command("train", "Trains as FOLDER/job.json says and leaves the model in FOLDER/model. The same command again resumes.") { folder, s_attached };
        command.SetAction(line => TrainingJob.Run(line.GetRequiredValue(folder), progress, Stop(line, stop)));
        return command;
    }

    private static Command Evaluate(Progress progress, CancellationTokenSource stop)
    {
        Argument<string> model = Model(), job = Job();
        var split = new Option<string>("--split") { Description = "train, dev (default) or test.", DefaultValueFactory = _ => "dev" };
        var beam = Number<int>("--beam", "Beam width.", 1, CaptionOptions.MaxBeamWidth);
        var normalization = Number("--length-normalization", "Exponent of the length that log-probabilities are divided by.", 0.0, 2.0);
        var noRepeat = Number("--no-repeat", "No n words in a row come twice; 0 = they may.", 0, 100);
        var ranking = new Option<string>("--ranking")
        {
            Description = "How a photo's hypotheses are ranked: consensus (default), as the service does, or likelihood.",
            DefaultValueFactory = _ => Evaluation.Consensus,
        };
        ranking.Validators.Add(given =>
        {
            if (given.Tokens is [var token] && token.Value is not (Evaluation.Consensus or Evaluation.Likelihood))
                given.AddError($"--ranking is {token.Value}; it must be {Evaluation.Consensus} or {Evaluation.Likelihood}.");
        });
        var count = Number<int>("--count", "Captions of each photo; also says how they differ.", 1, CaptionOptions.MaxBeamWidth);
        var diversity = Number("--diversity", "Penalty for words that other captions of the photo use, which are searched in as many groups.", 0.0, CaptionOptions.MaxDiversity);
        var int8 = new Option<bool>("--int8") { Description = "With the encoder in int8 instead of the fastest float." };
        var output = new Option<string>("--output") { Description = "File for the scores, and each photo's caption with its CIDEr." };
        var command = new Command("evaluate", "Scores a model bundle on a split of the data set that the job file names.")
        {
            model, job, split, beam, normalization, noRepeat, ranking, count, diversity, int8, output, s_attached,
        };
        command.SetAction(line => Evaluation.Run(line.GetRequiredValue(model), line.GetRequiredValue(job), new Evaluation.Options(
            line.GetRequiredValue(split), line.GetValue(beam), line.GetValue(normalization), line.GetValue(noRepeat),
            line.GetRequiredValue(ranking), line.GetValue(count) ?? 1, line.GetValue(diversity) ?? 0, line.GetValue(int8), line.GetValue(output)), progress, Stop(line, stop)));
        return command;
    }

    private static Command Calibrate(Progress progress, CancellationTokenSource stop)
    {
        Argument<string> model = Model(), job = Job();
        var output = new Option<string>("--out") { Description = "Folder to save into; by default the model's own." };
        var svg = new Option<string>("--svg") { Description = "File to draw the reliability diagram into." };
        var int8 = new Option<bool>("--int8") { Description = "First store the decoder's matrices as int8, half the size." };
        var command = new Command("calibrate", "Fits the ranking of a model bundle's captions to the training split that the job file names, their confidence to the development split, and saves the bundle again.")
        {
            model, job, output, svg, int8,
        };
        command.SetAction(line => Calibrator.Run(line.GetRequiredValue(model), line.GetRequiredValue(job),
            line.GetValue(output) ?? line.GetRequiredValue(model), line.GetValue(svg), line.GetValue(int8), progress, stop.Token));
        return command;
    }

    private static Command Quantize(Progress progress, CancellationTokenSource stop)
    {
        Argument<string> model = Model(), job = Job();
        var photos = Number<int>("--photos", $"Training photos that are looked at, {Quantization.DefaultPhotos} by default.", 1, 100_000);
        var automatic = new Option<bool>("--automatic") { Description = "Lets a service choose int8 by itself where that is faster; else only Captioning:EncoderPrecision does." };
        var command = new Command("quantize", "Finds on photos of the training split what the model's encoder needs to run in int8, and writes it beside the encoder.")
        {
            model, job, photos, automatic,
        };
        command.SetAction(line => Quantization.Run(line.GetRequiredValue(model), line.GetRequiredValue(job), line.GetValue(photos) ?? Quantization.DefaultPhotos, line.GetValue(automatic), progress, stop.Token));
        return command;
    }

    private static Command Inspect(Progress progress, CancellationTokenSource stop)
    {
        var folder = new Argument<string>("FOLDER") { Description = "A data set in its canonical form." };
        var language = new Option<string>("--language") { Description = "Language of the captions (BCP 47), where it is another than the import's." };
        var noEstimate = new Option<bool>("--no-estimate") { Description = "Do not measure how long training will take." };
        var command = new Command("inspect", "Checks a data set and writes FOLDER/report.json. Takes broken photos out of the splits, and out of training what dev or test has too.")
        {
            folder, language, noEstimate, s_attached,
        };
        command.SetAction(line => DatasetInspection.Run(line.GetRequiredValue(folder), line.GetValue(language), !line.GetValue(noEstimate), progress, Stop(line, stop)));
        return command;
    }

    private static Argument<string> Model() => new("MODEL") { Description = "Folder of a model bundle." };

    private static Argument<string> Job() => new("JOB.json") { Description = "A job file." };

    private static Option<T?> Number<T>(string name, string description, T least, T most)
        where T : struct, INumber<T>
    {
        var option = new Option<T?>(name)
        {
            Description = string.Create(CultureInfo.InvariantCulture, $"{description} {least} to {most}."),
            Arity = ArgumentArity.ZeroOrOne,
            CustomParser = given =>
            {
                if (given.Tokens is not [{ Value: var value }])
                    return null;
                if (T.TryParse(value, CultureInfo.InvariantCulture, out var number) && number >= least && number <= most)
                    return number;
                given.AddError(string.Create(CultureInfo.InvariantCulture, $"{name} is {value}; it must be {least} to {most}."));
                return null;
            },
        };
        option.Validators.Add(given =>
        {
            if (given.Tokens.Count == 0)
                given.AddError($"{name} needs a value.");
        });
        return option;
    }

    /// <summary>A token that ends with a signal and, for a program that is attached, with standard input.</summary>
    private static CancellationToken Stop(ParseResult line, CancellationTokenSource stop)
    {
        if (line.GetValue(s_attached))
        {
            new Thread(() =>
            {
                while (Console.In.Read() >= 0) { }
                stop.Cancel();
            })
            { IsBackground = true, Name = "standard input" }.Start();
        }
        return stop.Token;
    }
}
