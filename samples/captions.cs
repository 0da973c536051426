#:project ../src/CaptionService.Client
// Captions photos, and all photos of an archive in one job; the key, where one is needed, is in CAPTION_KEY:
//     dotnet run samples/captions.cs -- http://localhost:8080 parrot.jpg holiday.zip
using CaptionService.Client;

if (args.Length < 2)
{
    Console.Error.WriteLine("dotnet run samples/captions.cs -- http://localhost:8080 photo.jpg …");
    return 2;
}
using var client = new CaptionClient(new Uri(args[0]), Environment.GetEnvironmentVariable("CAPTION_KEY"));
var options = new CaptionRequestOptions { Count = 1 };
try
{
    foreach (string path in args[1..])
    {
        await using FileStream file = File.OpenRead(path);
        if (Path.GetExtension(path) != ".zip")
        {
            CaptionsResponse answer = await client.CaptionAsync(file, options);
            Console.WriteLine($"{Path.GetFileName(path)}: {answer.Results[0].Captions![0].Text}");
            continue;
        }
        CaptionJobResponse job = await client.StartCaptionJobAsync(CaptionSource.Archive(file), options);
        await foreach (CaptionJobResponse now in client.WatchCaptionJobAsync(job.Id))
            Console.Error.WriteLine($"{now.State}: {now.Done} of {now.Photos}");
        await foreach (CaptionJobResult result in client.ReadCaptionJobResultsAsync(job.Id))
            Console.WriteLine($"{result.Name}: {result.Captions?[0].Text ?? result.Problem!.Detail}");
    }
    return 0;
}
catch (CaptionServiceException refused)
{
    Console.Error.WriteLine($"{refused.Code}: {refused.Message}");
    return 1;
}
