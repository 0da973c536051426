using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;

namespace CaptionService.Benchmarks;

/// <summary>Shutdowns under full load, at random moments: whoever's request was accepted has its answer.</summary>
internal static class Drains
{
    private const int Clients = 24;

    /// <summary>Whether no accepted request was lost and each service ended with 0.</summary>
    /// <param name="drains">How many services are started, loaded and sent SIGTERM.</param>
    public static async Task<bool> RunAsync(int drains)
    {
        var random = new Random(20_261_128);
        int answered = 0, refused = 0, ended = 0;
        var lost = new ConcurrentQueue<string>();
        string storage = Directory.CreateTempSubdirectory("captionservice-drains-").FullName;
        try
        {
            for (int drain = 1; drain <= drains; drain++)
            {
                using var service = await ServiceBenchmark.StartAsync(storage);
                using var stop = new CancellationTokenSource();
                int number = drain;
                Task load = Task.WhenAll(Enumerable.Range(0, Clients).Select(client => Task.Run(() => LoadAsync(service.Client.BaseAddress!, client, stop.Token))));
                await Task.Delay(random.Next(300, 3000));
                Process.Start("kill", ["-TERM", $"{service.Process.Id}"]).Dispose();
                await service.Process.WaitForExitAsync();
                if (service.Process.ExitCode == 0)
                    ended++;
                await stop.CancelAsync();
                await load;
                await Console.Error.WriteLineAsync($"drain {drain}: {answered} answered, {lost.Count} lost");

                async Task LoadAsync(Uri address, int client, CancellationToken done)
                {
                    using var http = new HttpClient(new SocketsHttpHandler { Expect100ContinueTimeout = Timeout.InfiniteTimeSpan }) { BaseAddress = address, Timeout = TimeSpan.FromMinutes(2) };
                    http.DefaultRequestHeaders.ExpectContinue = true;
                    string[] photos = Program.SampleFiles();
                    for (int i = client; !done.IsCancellationRequested; i++)
                    {
                        using var body = new AcceptedContent(await File.ReadAllBytesAsync(photos[i % photos.Length], CancellationToken.None));
                        string end;
                        try
                        {
                            using HttpResponseMessage response = await http.PostAsync(new Uri("/captions", UriKind.Relative), body, CancellationToken.None);
                            await response.Content.ReadAsByteArrayAsync(CancellationToken.None);
                            end = response.StatusCode == HttpStatusCode.OK ? "" : $"{(int)response.StatusCode}";
                        }
                        catch (Exception failure) when (failure is HttpRequestException or IOException or OperationCanceledException)
                        {
                            end = failure.GetBaseException().Message;
                        }
                        if (end.Length == 0)
                            Interlocked.Increment(ref answered);
                        else if (body.Accepted)
                            lost.Enqueue($"drain {number}: {end}");
                        else
                        {
                            Interlocked.Increment(ref refused);
                            await Task.Delay(20, CancellationToken.None);
                        }
                    }
                }
            }
        }
        finally
        {
            Directory.Delete(storage, recursive: true);
        }
        foreach (string each in lost)
            Program.Row("lost", each);
        Program.Row($"{drains} drains under {Clients} clients", $"{answered} accepted and answered, {lost.Count} accepted and lost, {refused} not accepted; {ended} ended with 0");
        return lost.IsEmpty && ended == drains;
    }

    /// <summary>A photo that is sent once the server has asked for it (100 Continue), which it does when it has accepted the request.</summary>
    private sealed class AcceptedContent(byte[] bytes) : HttpContent
    {
        public bool Accepted { get; private set; }

        protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            Accepted = true;
            return stream.WriteAsync(bytes).AsTask();
        }

        protected override bool TryComputeLength(out long length)
        {
            length = bytes.Length;
            return true;
        }
    }
}
