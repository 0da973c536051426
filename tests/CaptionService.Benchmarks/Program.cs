using System.Globalization;
using System.Runtime.InteropServices;
using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Torch;

namespace CaptionService.Benchmarks;

/// <summary>
/// Prints one table of what the product costs on this machine. Arguments: nothing = everything; <c>encoder</c>, <c>captioner</c>,
/// <c>service</c> = one part; <c>soak</c> = 2,000 requests and the resident memory after 200 and at the end;
/// <c>training [REQUESTS [ARCHIVE]]</c> = captioning while a job trains; <c>upload [MB]</c> = memory while an archive of 1 GB is taken in;
/// <c>bulk [PHOTOS [REQUESTS [whole]]]</c> = a caption job's rate, and what it costs requests;
/// <c>hostile [MUTATIONS [FOLDER]]</c> = damaged photos, 100 in each format, and a folder's files;
/// <c>telemetry [TURNS [PHOTOS]]</c> = what OpenTelemetry costs a service;
/// <c>slow [CLIENTS]</c> = 500 clients that send a byte a second; <c>drains [COUNT]</c> = 50 shutdowns under full load;
/// <c>decoder [ROUNDS]</c> = decoding here and in another process; <c>alt FOLDER [LANGUAGES [PHOTOS]]</c> = alt text on development photos.
/// </summary>
public static class Program
{
    /// <summary>Runs the benchmarks.</summary>
    public static async Task<int> Main(string[] args)
    {
        Console.WriteLine($"{Processor()}, {Environment.ProcessorCount} cores, {RuntimeInformation.OSDescription}, .NET {Environment.Version}");
        Console.WriteLine();
        Console.WriteLine("| what | figure |");
        Console.WriteLine("|---|---|");
        string part = args.FirstOrDefault() ?? "all";
        TorchRuntime.Configure();
        if (part is "all" or "encoder")
            EncoderBenchmark.Run();
        if (part is "all" or "captioner")
            CaptionerBenchmark.Run();
        if (part is "all" or "service")
            await ServiceBenchmark.RunAsync();
        if (part is "soak")
            return await ServiceBenchmark.SoakAsync() ? 0 : 1;
        if (part is "training")
            return await TrainingBenchmark.RunAsync(int.Parse(args.ElementAtOrDefault(1) ?? "200", CultureInfo.InvariantCulture), args.ElementAtOrDefault(2)) ? 0 : 1;
        if (part is "bulk")
        {
            int[] numbers = [.. args.Skip(1).Take(2).Select(number => int.Parse(number, CultureInfo.InvariantCulture))];
            return await BulkBenchmark.RunAsync(numbers.ElementAtOrDefault(0) is > 0 and var photos ? photos : 10_000, numbers.Length > 1 ? numbers[1] : 400, args.Contains("whole")) ? 0 : 1;
        }
        if (part is "telemetry")
            await TelemetryBenchmark.RunAsync(Number(args, 1, 20), Number(args, 2, 40));
        if (part is "slow")
            return await SlowClients.RunAsync(int.Parse(args.ElementAtOrDefault(1) ?? "500", CultureInfo.InvariantCulture)) ? 0 : 1;
        if (part is "decoder")
            DecoderBenchmark.Run(int.Parse(args.ElementAtOrDefault(1) ?? "20", CultureInfo.InvariantCulture));
        if (part is "drains")
            return await Drains.RunAsync(int.Parse(args.ElementAtOrDefault(1) ?? "50", CultureInfo.InvariantCulture)) ? 0 : 1;
        if (part is "hostile")
            return await HostilePhotos.RunAsync(int.Parse(args.ElementAtOrDefault(1) ?? "100", CultureInfo.InvariantCulture), args.ElementAtOrDefault(2)) ? 0 : 1;
        if (part is "alt")
            AltTextMeasure.Run(args[1], args.ElementAtOrDefault(2)?.Split(',') ?? ["en", "de", "zh"], int.Parse(args.ElementAtOrDefault(3) ?? "10000", CultureInfo.InvariantCulture));
        if (part is "upload")
            await UploadBenchmark.RunAsync(int.Parse(args.ElementAtOrDefault(1) ?? "1000", CultureInfo.InvariantCulture));
        return 0;
    }

    private static int Number(string[] args, int at, int otherwise) =>
        int.Parse(args.ElementAtOrDefault(at) ?? $"{otherwise}", CultureInfo.InvariantCulture);

    internal static void Row(string what, string figure)
    {
        Console.WriteLine($"| {what} | {figure} |");
        Console.Out.Flush();
    }

    internal static Photo[] SamplePhotos() =>
        [.. SampleFiles().Select(f => Photo.Decode(File.ReadAllBytes(f)))];

    internal static string[] SampleFiles() =>
        [.. Directory.GetFiles(Path.Combine(AppContext.BaseDirectory, "samples"), "*.jpg").Order(StringComparer.Ordinal)];

    private static string Processor()
    {
        const string Info = "/proc/cpuinfo";
        string? name = File.Exists(Info) ? File.ReadLines(Info).FirstOrDefault(l => l.StartsWith("model name", StringComparison.Ordinal))?.Split(':')[1].Trim() : null;
        string[] flags = File.Exists(Info) ? File.ReadLines(Info).First(l => l.StartsWith("flags", StringComparison.Ordinal)).Split(' ') : [];
        string[] wide = ["avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16"];
        return $"{name ?? RuntimeInformation.ProcessArchitecture.ToString()} ({string.Join(' ', wide.Where(flags.Contains))})";
    }
}
