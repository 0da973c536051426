using CaptionService.Api.Tests.Keys;

namespace CaptionService.Api.Tests.Compatible;

/// <summary>Where keys are needed, other programs hear so in their own protocol.</summary>
public sealed class CompatibleKeysTests(LockedService service) : IClassFixture<LockedService>
{
    [Theory]
    [InlineData("/v1/chat/completions", "error.code", "error.type:authentication_error")]
    [InlineData("/api/generate", "code", null)]
    [InlineData("/api/v1/vision/caption", "error", "code:401")]
    [InlineData("/computervision/imageanalysis:analyze", "error.innererror.code", "error.code:Unauthorized")]
    [InlineData("/models/everyday-en", "code", null)]
    [InlineData("/model/predict", "code", "status:error")]
    [InlineData("/img-alt", "code", null)]
    public async Task Without_a_key_the_answer_is_401_in_the_protocols_shape(string route, string code, string? other)
    {
        Answer answer = await service.Send("POST", route, null);

        Assert.Equal((401, "application/json"), (answer.Status, answer.Type));
        Assert.StartsWith("no_key", Text(answer, code), StringComparison.Ordinal);
        Assert.NotEmpty(answer.Headers.WwwAuthenticate);
        if (other?.Split(':') is [var member, var value])
        {
            Assert.Equal(value, Text(answer, member));
        }
    }

    [Theory]
    [InlineData("Authorization", "Bearer ")]
    [InlineData("api-key", "")]
    [InlineData("Ocp-Apim-Subscription-Key", "")]
    public async Task A_key_is_taken_as_clients_send_it(string header, string before)
    {
        (string key, _) = await service.Make("caption");

        Assert.Equal(200, (await service.Send("GET", "/v1/models", before + key, header)).Status);
        Assert.Equal(401, (await service.Send("GET", "/v1/models", before + key + "x", header)).Status);
    }

    private static string Text(Answer answer, string path) => path.Split('.').Aggregate(answer.Body, (node, member) => node[member]!).ToString();
}
